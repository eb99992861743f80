"""What is told of captions that are not as asked: a file's name in place of one, or one that cannot be shuffled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from simpletuner.data.captions.candidates import CaptionSpec, captions
from simpletuner.data.captions.shuffle import has_tags_to_move
from simpletuner.data.entries import Refusal, printable

_NAMED = 5

Wording = tuple[str, bytes | None, Sequence[str] | None]
"""A picture with its text file's content and what a table says, as :func:`captions` takes them."""


def named_for_want(wordings: Iterable[Wording], spec: CaptionSpec) -> tuple[str, ...]:
    """The pictures that are trained on their file names because the table has no caption for them."""
    if spec.only or spec.strategy != "table" or not spec.fallback_to_filename:
        return ()
    return tuple(path for path, _, given in wordings if not any(text.strip() for text in given or ()))


def unshuffled(wordings: Iterable[Wording], spec: CaptionSpec) -> tuple[str, ...]:
    """The pictures with a caption that stays as it is though ``include_original`` is off (SPEC 3.9.5)."""
    if spec.only or spec.shuffle is None or spec.shuffle.include_original:
        return ()
    plain, shuffle = replace(spec, shuffle=None, prepend=False), spec.shuffle

    def stays(wording: Wording) -> bool:
        found = captions(wording[0], plain, *wording[1:])
        return not isinstance(found, Refusal) and not all(has_tags_to_move(caption, shuffle) for caption in found)

    return tuple(wording[0] for wording in wordings if stays(wording))


def caption_warnings(named: Sequence[str], plain: Sequence[str], pictures: int) -> tuple[str, ...]:
    """One line for the pictures of :func:`named_for_want` and one for those of :func:`unshuffled`, of ``pictures``."""
    told = []
    if named:
        told.append(
            f"the table has no caption for {len(named)} of {pictures} pictures, which are trained on their file names: "
            f"{_listed(named)}; add them to the table, or take the pictures out"
        )
    if plain:
        told.append(
            f"caption_shuffle finds nothing to move in captions of {len(plain)} of {pictures} pictures, which are used "
            f"as they are though include_original is false: {_listed(plain)}; check split_on and position_start"
        )
    return tuple(told)


def _listed(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return ", ".join(printable(path) for path in paths[:_NAMED]) + more
