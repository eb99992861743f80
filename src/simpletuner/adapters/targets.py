"""What a standard LoRA is, and which linear layers it means in a given model, before any weight loads. No torch."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from simpletuner.config.problems import near
from simpletuner.config.sections.adapter import AdapterConfig
from simpletuner.core.errors import ConfigError
from simpletuner.core.linears import LinearShape

_KEY = "peft_lora_target_modules"
# PEFT's own word; the linears that a family offers are all there are to it.
_ALL = "all-linear"
# A comma inside braces belongs to a regular expression: {1,2}.
_BETWEEN = re.compile(r",(?![^{}]*\})")


@dataclass(frozen=True)
class LoraSettings:
    """A standard LoRA: to each layer W it adds alpha / rank times B A, with A (rank, in) and B (out, rank).

    ``dropout`` is the share of A's inputs that are dropped in training; ``targets`` None means every linear layer.
    """

    rank: int
    alpha: float
    dropout: float = 0.0
    targets: tuple[str, ...] | None = None

    def by_option(self) -> dict[str, object]:
        """The settings by the names of their options, as JSON has them: what a resumed run must share."""
        return {
            "lora_rank": self.rank,
            "lora_alpha": self.alpha,
            "lora_dropout": self.dropout,
            _KEY: None if self.targets is None else list(self.targets),
        }


def lora_settings(config: AdapterConfig) -> LoraSettings:
    """The LoRA that the options describe. Raises ConfigError when the list of layers names none."""
    text = config.peft_lora_target_modules
    return LoraSettings(
        rank=config.lora_rank,
        alpha=config.lora_rank if config.lora_alpha is None else config.lora_alpha,
        dropout=config.lora_dropout,
        targets=None if text is None else parse_targets(text),
    )


def parse_targets(text: str) -> tuple[str, ...]:
    """The names in a list, as JSON or between commas. Raises ConfigError when there are none."""
    targets = tuple(name.strip() for name in _listed(text) if name.strip())
    if not targets:
        raise ConfigError("names no layer", key=_KEY, cure="remove it to adapt every linear layer of every block")
    return targets


def _listed(text: str) -> list[str]:
    """A text that is no JSON list of texts is a list between commas, such as a regular expression in brackets."""
    try:
        listed = json.loads(text)
    except ValueError:
        listed = None
    if isinstance(listed, list) and all(isinstance(name, str) for name in listed):
        return listed
    return _BETWEEN.split(text)


def lora_paths(
    targets: Sequence[str] | None, shapes: Sequence[LinearShape], aliases: Mapping[str, str]
) -> tuple[str, ...]:
    """The dotted paths of the layers of ``shapes`` that ``targets`` mean, in the order of ``shapes``.

    A target is the end of a path (``to_q``), a class around the layer (``aliases`` maps generic names to the model's
    own), a full path, or a regular expression for the whole path. Raises ConfigError for one that means no layer.
    """
    if targets is None:
        return tuple(shape.path for shape in shapes)
    wanted = {path for target in targets for path in _paths(target, shapes, aliases)}
    return tuple(shape.path for shape in shapes if shape.path in wanted)


def _paths(target: str, shapes: Sequence[LinearShape], aliases: Mapping[str, str]) -> list[str]:
    name = aliases.get(target, target)
    matches = _by_expression(target)
    ways: tuple[Callable[[LinearShape], object], ...] = (
        lambda shape: name == _ALL or name in shape.inside,
        lambda shape: f".{shape.path}".endswith(f".{name}"),
        lambda shape: matches(shape.path),
    )
    for fits in ways:
        if found := [shape.path for shape in shapes if fits(shape)]:
            return found
    known = _names(shapes, aliases)
    raise ConfigError(
        f"no linear layer of this model is meant by '{target}'",
        key=_KEY,
        cure=near(target, known) or f"use some of {', '.join(known)}, full paths or regular expressions",
    )


def _by_expression(target: str) -> Callable[[str], object]:
    """Whether a whole path fits ``target``; what is no regular expression fits nothing."""
    try:
        return re.compile(target).fullmatch
    except re.error:
        return lambda path: None


def _names(shapes: Sequence[LinearShape], aliases: Mapping[str, str]) -> tuple[str, ...]:
    """What a person would call the layers: classes and the ends of paths, each once."""
    classes = dict.fromkeys(name for shape in shapes for name in shape.inside)
    generic = [name for name, own in aliases.items() if own in classes]
    return (*classes, *generic, *dict.fromkeys(_end(shape.path) for shape in shapes))


def _end(path: str) -> str:
    """The last word of a path; a number alone says nothing, so ``to_out.0`` stays whole."""
    *before, last = path.split(".")
    return f"{before[-1]}.{last}" if last.isdigit() and before else last
