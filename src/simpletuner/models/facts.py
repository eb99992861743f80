"""The torch-free description of a model family."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simpletuner.core.errors import ConfigError
from simpletuner.core.linears import LinearShape

CountTokens = Callable[[Sequence[str]], list[int]]
"""Captions to the number of tokens of each."""


@dataclass(frozen=True)
class Flavour:
    """Where a flavour's weights lie (a hub id, or a folder for a bundled model) and what sampling does without words.

    ``builtin_negative`` says that sampling without a negative prompt uses the references' own negative text; else
    the unconditional prompt of training is used. ``transformer`` are those keys of the transformer's ``config.json``
    that say which layers there are, for weights that are not on disk yet.
    """

    source: str | Path
    builtin_negative: bool
    transformer: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FamilyFacts:
    """Everything ``check`` and the planner need to know of a family.

    Edges are in pixels: pictures are multiples of ``side_multiple`` and no longer than ``longest_edge``.
    ``class_aliases`` maps the generic names people write in a LyCORIS preset to the family's own class names;
    ``linear_shapes`` lists the adaptable layers from the transformer's ``config.json``, ``module_paths`` the dotted
    paths of all its modules, ``block_count`` counts its transformer blocks, ``weight_shapes`` are those of all its
    weights; all raise KeyError when the file lacks a key. ``module_classes`` are the classes of
    modules that hold a linear layer, sorted. ``count_tokens`` makes a counter from a folder in diffusers layout or a
    hub id, or None when its tokenizer is not on disk; captions of more than ``advised_tokens`` are advised against.
    ``clock_begins_at_noise`` says which way the family's own clock runs.
    """

    name: str
    flavours: Mapping[str, Flavour]
    default_flavour: str
    side_multiple: int
    native_edge: int
    longest_edge: int
    class_aliases: Mapping[str, str]
    module_classes: tuple[str, ...]
    linear_shapes: Callable[[Mapping[str, Any]], tuple[LinearShape, ...]]
    module_paths: Callable[[Mapping[str, Any]], tuple[str, ...]]
    block_count: Callable[[Mapping[str, Any]], int]
    weight_shapes: Callable[[Mapping[str, Any]], tuple[tuple[int, ...], ...]]
    count_tokens: Callable[[str | Path], CountTokens | None]
    advised_tokens: int
    clock_begins_at_noise: bool = False

    def flavour(self, name: str | None) -> Flavour:
        """The flavour ``name``, or the default one; a ConfigError lists them when there is none of that name."""
        chosen = name or self.default_flavour
        if chosen not in self.flavours:
            cure = f"one of: {', '.join(sorted(self.flavours))}"
            raise ConfigError(f"'{self.name}' has no flavour '{chosen}'", key="model_flavour", cure=cure)
        return self.flavours[chosen]
