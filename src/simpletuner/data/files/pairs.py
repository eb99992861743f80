"""Masks and reference pictures belong to the picture of the same relative path and stem."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from simpletuner.core.errors import DataError
from simpletuner.data.entries import Dropped, printable

_NAMED = 8


@dataclass(frozen=True)
class Paired:
    """The partner of each picture, and the pictures whose partner was dropped with what is said of each; by path."""

    partners: Mapping[str, str]
    left_out: Mapping[str, Dropped]


def pair(
    paths: Sequence[str], partners: Iterable[str], dropped: Iterable[Dropped], *, dataset: str, partner: str
) -> Paired:
    """The partner of each of ``paths``: same folder below the root, same stem; of several the one of the same suffix.

    ``dropped`` are files of the data set ``partner`` that are not used: what belongs to one of them is left out.

    Raises:
        DataError: pictures without a partner, or with several that fit equally well; they are named.
    """
    usable, unusable = _by_stem(partners), {item.file: item for item in dropped}
    refused = _by_stem(unusable)
    found = {path: _fitting(path, usable) for path in paths}
    left_out = {
        path: without_partner(path, unusable[lost], partner)
        for path, fitting in (found.items() if refused else ())
        if (lost := _lost(printable(path), fitting, refused)) is not None
    }
    _require(
        [path for path, fitting in found.items() if not fitting and path not in left_out],
        f'have no partner in data set "{partner}"',
        "add a picture of the same relative path and stem for each (an all-white one for a mask that hides nothing)",
        dataset,
    )
    _require(
        [path for path, fitting in found.items() if len(fitting) > 1 and path not in left_out],
        f'have several partners in data set "{partner}"',
        "keep one file of each stem",
        dataset,
    )
    return Paired({path: fitting[0] for path, fitting in found.items() if path not in left_out}, left_out)


def without_partner(path: str, item: Dropped, partner: str) -> Dropped:
    """A picture that is left out because ``item`` of the data set ``partner`` is. Its own file is sound."""
    reason = f'its partner {item.file} in data set "{partner}": {item.reason}'
    return Dropped(printable(path), reason, item.cure, "partner")


def _stem(path: str) -> str:
    return str(PurePosixPath(path).with_suffix(""))


def _by_stem(paths: Iterable[str]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        found[_stem(path)].append(path)
    return found


def _fitting(path: str, by_stem: Mapping[str, list[str]]) -> list[str]:
    found = by_stem.get(_stem(path), [])
    return [other for other in found if _same_suffix(path, other)] or found


def _lost(path: str, fitting: Sequence[str], refused: Mapping[str, list[str]]) -> str | None:
    """The file that would be the partner of ``path`` if it could be used; None when one that ``fitting`` has is."""
    lost = _fitting(path, refused)
    if not lost or (fitting and (_same_suffix(path, fitting[0]) or not _same_suffix(path, lost[0]))):
        return None
    return lost[0]


def _same_suffix(path: str, other: str) -> bool:
    return PurePosixPath(path).suffix == PurePosixPath(other).suffix


def _require(wrong: Sequence[str], reason: str, cure: str, dataset: str) -> None:
    if wrong:
        named = ", ".join(wrong[:_NAMED]) + (f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else "")
        raise DataError(f"{len(wrong)} pictures {reason}: {named}", key=dataset, cure=cure)
