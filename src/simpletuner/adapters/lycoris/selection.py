"""Which layers a LyCORIS preset means, each with what is particular to it. No torch here.

LyCORIS takes the settings of a targeted class for every layer in it and then finds a name's entry too late. So the
layers are chosen here, with LyCORIS's own words for it, and it is given their full paths.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simpletuner.core.errors import ConfigError

_TARGETS = ("target_module", "target_name", "module_algo_map", "name_algo_map")


@dataclass(frozen=True)
class Place:
    """A layer that can be adapted: its dotted path, and path and class of each module around it, outermost first.

    The last of ``around`` is the layer itself.
    """

    path: str
    around: tuple[tuple[str, str], ...]


def select_layers(places: Iterable[Place], preset: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The paths of the layers that ``preset`` means, each with its own settings.

    A class entry changes what is inside such a module (the innermost one counts); the entry of a matching name has
    the last word. A preset without any target means every layer. Raises ConfigError when an entry by name fits no
    layer: it would be ignored.
    """
    rules = _Rules(preset)
    chosen = {place.path: rules.own(place) for place in places if rules.wants(place)}
    if idle := [name for name in rules.by_name if not any(rules.fits(name, path) for path in chosen)]:
        raise ConfigError(
            f"no adapted layer has a path that fits '{idle[0]}': its settings would be ignored",
            key="apply_preset.name_algo_map",
            cure="name layers, not what they are in: for instance layers.0.self_attn.to_q",
        )
    return chosen


def stray_classes(places: Iterable[Place], preset: Mapping[str, Any]) -> tuple[str, ...]:
    """Entries of ``module_algo_map`` that adapt layers which no target of ``preset`` means.

    LyCORIS takes such an entry for a target too. A preset without targets says with its entries what it means.
    """
    if not (preset.get("target_module") or preset.get("target_name")):
        return ()
    whole, targeted = _Rules(preset), _Rules({**preset, "module_algo_map": {}})
    extra = [place for place in places if whole.wants(place) and not targeted.wants(place)]
    around = {name for place in extra for name in whole.around(place)}
    return tuple(name for name in preset.get("module_algo_map", ()) if name in around)


class _Rules:
    """A preset in LyCORIS's sense: a pattern is a regular expression from the start of the path, or a wildcard."""

    def __init__(self, preset: Mapping[str, Any]) -> None:
        self.by_name: Mapping[str, Mapping[str, Any]] = preset.get("name_algo_map", {})
        self._by_class: Mapping[str, Mapping[str, Any]] = preset.get("module_algo_map", {})
        self._classes = {*preset.get("target_module", ()), *self._by_class}
        self._names: Sequence[str] = [*preset.get("target_name", ()), *self.by_name]
        self._excluded: Sequence[str] = preset.get("exclude_name", ())
        self._wildcards: bool = preset.get("use_fnmatch", False)
        self._all = not any(preset.get(key) for key in _TARGETS)

    def fits(self, pattern: str, path: str) -> bool:
        if pattern == path:
            return True
        return fnmatch.fnmatch(path, pattern) if self._wildcards else re.match(pattern, path) is not None

    def _any(self, patterns: Sequence[str], path: str) -> bool:
        return any(self.fits(pattern, path) for pattern in patterns)

    def wants(self, place: Place) -> bool:
        if self._any(self._excluded, place.path):
            return False
        by_class = any(name in self._classes for name in self.around(place))
        return self._all or by_class or self._any(self._names, place.path)

    def around(self, place: Place) -> Iterator[str]:
        """The classes around a layer, outermost first; a module that is excluded by its own path does not count."""
        return (name for path, name in place.around if not self._any(self._excluded, path))

    def own(self, place: Place) -> dict[str, Any]:
        inside = [name for name in self.around(place) if name in self._by_class]
        of_class = self._by_class[inside[-1]] if inside else {}
        return {**of_class, **self._named(place.path)}

    def _named(self, path: str) -> Mapping[str, Any]:
        """The entry that has exactly this path, else the first one that fits."""
        if path in self.by_name:
            return self.by_name[path]
        return next((own for pattern, own in self.by_name.items() if self.fits(pattern, path)), {})
