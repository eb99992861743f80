"""Which classes a LyCORIS preset means in a given model, before any weight is loaded. No torch here."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simpletuner.adapters.lycoris.selection import Place, stray_classes
from simpletuner.core.errors import ConfigError
from simpletuner.core.linears import LinearShape

_PATTERN_KEYS = ("target_name", "name_algo_map", "exclude_name")


@dataclass(frozen=True)
class ClassShare:
    """How much of one module class an adapter covers."""

    class_name: str
    adapted: int
    linears: int
    parameters: int

    def line(self) -> str:
        """For a person, for instance ``Attention: 128 of 128 linears, 4,751,360 parameters``."""
        return f"{self.class_name}: {self.adapted} of {self.linears} linears, {self.parameters:,} parameters"


def resolve_preset(preset: Mapping[str, Any], aliases: Mapping[str, str]) -> dict[str, Any]:
    """The preset with every generic class name replaced by the family's own.

    ``FeedForward`` names no class of OmniGen; its feed-forward class is ``OmniGenFeedForward``. A name that is
    not an alias stays as it is.
    """
    resolved = dict(preset)
    if "target_module" in preset:
        resolved["target_module"] = [aliases.get(name, name) for name in preset["target_module"]]
    if "module_algo_map" in preset:
        overrides = preset["module_algo_map"].items()
        resolved["module_algo_map"] = {aliases.get(name, name): dict(change) for name, change in overrides}
    return resolved


def require_matches(preset: Mapping[str, Any], classes: Iterable[str]) -> None:
    """Refuse class names that no module of the model has: such a target would train nothing, in silence.

    ``classes`` are the class names of the model's modules. Raises ConfigError.
    """
    known = set(classes)
    wanted = [*preset.get("target_module", ()), *preset.get("module_algo_map", {})]
    missing = sorted({name for name in wanted if name not in known})
    if missing:
        raise ConfigError(
            f"no module of this model has the class {', '.join(missing)}",
            key="apply_preset.target_module",
            cure=f"use one of: {', '.join(sorted(known))}",
        )


def stray_lines(preset: Mapping[str, Any], aliases: Mapping[str, str], places: Iterable[Place]) -> tuple[str, ...]:
    """For the user, the classes that ``preset`` adapts though they stand in ``module_algo_map`` alone."""
    stray = set(stray_classes(places, resolve_preset(preset, aliases)))
    return tuple(
        f"lycoris_config: {name} is in module_algo_map but not in target_module, and is adapted all the same, "
        "as LyCORIS does; to leave it out, remove it there too"
        for name in preset.get("module_algo_map", ())
        if aliases.get(name, name) in stray
    )


def resolved_classes(preset: Mapping[str, Any]) -> tuple[str, ...]:
    """The class names of a resolved preset, sorted."""
    return tuple(sorted({*preset.get("target_module", ()), *preset.get("module_algo_map", {})}))


def require_patterns(preset: Mapping[str, Any]) -> None:
    """Refuse a pattern of paths that is no regular expression. Raises ConfigError."""
    for key, pattern in _patterns(preset):
        _matcher(key, pattern, wildcards=preset.get("use_fnmatch", False))


def require_name_matches(preset: Mapping[str, Any], paths: Iterable[str]) -> None:
    """Refuse a pattern that no module path of the model fits: it would do nothing, in silence.

    Patterns are matched as LyCORIS does: a regular expression from the start of the path, or a shell wildcard for
    the whole path with ``use_fnmatch``; the path itself always fits. Raises ConfigError.
    """
    known = [path for path in paths if path]
    wildcards = preset.get("use_fnmatch", False)
    for key, pattern in _patterns(preset):
        fits = _matcher(key, pattern, wildcards=wildcards)
        if pattern not in known and not any(fits(path) for path in known):
            kind = "shell wildcard (use_fnmatch is true)" if wildcards else "regular expression (use_fnmatch is false)"
            raise ConfigError(
                f"no module of this model has a path that fits '{pattern}', read as a {kind}",
                key=f"apply_preset.{key}",
                cure=f"a path is for instance {max(known, key=len, default='layers.0')}",
            )


def _patterns(preset: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(key, pattern) for key in _PATTERN_KEYS for pattern in preset.get(key, ())]


def _matcher(key: str, pattern: str, *, wildcards: bool) -> Callable[[str], object]:
    if wildcards:
        return lambda path: fnmatch.fnmatch(path, pattern)
    try:
        return re.compile(pattern).match
    except re.error as error:
        raise ConfigError(
            f"'{pattern}' is no regular expression: {error}",
            key=f"apply_preset.{key}",
            cure='correct it, or set "use_fnmatch": true for shell wildcards',
        ) from None


def class_shares(
    classes: Sequence[str], shapes: Sequence[LinearShape], parameters: Mapping[str, int]
) -> tuple[ClassShare, ...]:
    """Per class, how many of its linears are adapted.

    ``parameters`` maps the path of each adapted linear to its number of trainable values.
    """
    return tuple(_share(name, [shape for shape in shapes if name in shape.inside], parameters) for name in classes)


def _share(name: str, shapes: Sequence[LinearShape], parameters: Mapping[str, int]) -> ClassShare:
    adapted = [shape for shape in shapes if shape.path in parameters]
    return ClassShare(
        class_name=name,
        adapted=len(adapted),
        linears=len(shapes),
        parameters=sum(parameters[shape.path] for shape in adapted),
    )
