"""``caption_shuffle``: variants of a caption whose tags stand in another order (SPEC 3.9.5)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from simpletuner.core.keyed import keyed_random

Separator = Literal["comma", "space", "period"]

# A period ends a sentence before white space or the end: "3.5" and "v1.2" stay whole, and so does "...".
_SPLIT = {"comma": re.compile(","), "space": re.compile(r"\s+"), "period": re.compile(r"(?<!\.)\.(?=\s|$)")}
_JOIN = {"comma": ", ", "space": " ", "period": ". "}


@dataclass(frozen=True)
class ShuffleSpec:
    """``count`` variants of each caption; its first ``position_start`` tags stay where they are.

    ``include_original`` keeps the caption as it was written among the candidates.
    """

    count: int = 1
    seed: int = 0
    split_on: Separator = "comma"
    position_start: int = 0
    include_original: bool = True


def shuffled(caption: str, spec: ShuffleSpec, *parts: object) -> tuple[str, ...]:
    """The candidates that ``caption`` becomes, at least one, each once: itself if asked for, then its variants.

    The same seed, ``parts`` and caption give the same variants. The caption alone when it has fewer than two tags to
    move. Empty tags are left out of variants; a period at the end stays at the end.
    """
    tags, ending = _tags(caption, spec.split_on)
    if len(tags) < spec.position_start + 2:
        return (caption,)
    candidates = [caption] if spec.include_original else []
    for number in range(spec.count):
        order = _order(tags, spec, *parts, caption, number)
        candidates.append(caption if order == tags else _joined(order, spec.split_on, ending))
    return tuple(dict.fromkeys(candidates)) or (caption,)


def has_tags_to_move(caption: str, spec: ShuffleSpec) -> bool:
    """Whether :func:`shuffled` can give a caption another order: two tags or more behind those that stay."""
    return len(_tags(caption, spec.split_on)[0]) >= spec.position_start + 2


def _tags(caption: str, split_on: Separator) -> tuple[list[str], str]:
    whole = caption.strip()
    ending = "." if whole.endswith(".") and not whole.endswith("..") else ""
    pieces = _SPLIT[split_on].split(whole.removesuffix(ending))
    return [tag for piece in pieces if (tag := piece.strip())], ending


def _order(tags: list[str], spec: ShuffleSpec, *parts: object) -> list[str]:
    moved = tags[spec.position_start :]
    keyed_random(spec.seed, *parts, "caption_shuffle").shuffle(moved)
    return tags[: spec.position_start] + moved


def _joined(tags: list[str], split_on: Separator, ending: str) -> str:
    text = _JOIN[split_on].join(tags)
    return text if text.endswith(".") else text + ending
