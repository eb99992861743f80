"""Masks and reference pictures belong to the picture of the same relative path and stem."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from simpletuner.core.errors import DataError
from simpletuner.data.captions.candidates import composed
from simpletuner.data.entries import Dropped, printable

_NAMED = 8


@dataclass(frozen=True)
class Paired:
    """The partner of each picture, and the pictures whose partner was dropped with what is said of each; by path."""

    partners: Mapping[str, str]
    left_out: Mapping[str, Dropped]


def pair(
    paths: Sequence[str],
    partners: Sequence[str],
    dropped: Iterable[Dropped],
    *,
    dataset: str,
    partner: str,
    limit: int | None = None,
) -> Paired:
    """The partner of each of ``paths``: same folder below the root, same stem; of several the one of the same suffix.

    Where no stem is the same to the letter, one that looks the same (NFC) is. ``dropped`` are files of the data set
    ``partner`` that are not used: what belongs to one of them is left out. ``limit`` is its ``max_num_samples``.

    Raises:
        DataError: pictures without a partner, or with several that fit equally well; they are named.
    """
    usable, unusable = _Stems(partners), {item.file: item for item in dropped}
    refused = _Stems(unusable)
    found = {path: _fitting(path, usable) for path in paths}
    left_out = {
        path: without_partner(path, unusable[lost], partner)
        for path, fitting in (found.items() if unusable else ())
        if (lost := _lost(printable(path), fitting, refused)) is not None
    }
    _require(
        [path for path, fitting in found.items() if not fitting and path not in left_out],
        *_why_alone(partner, limit if limit is not None and limit <= len(partners) else None),
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


class _Stems:
    """Paths by stem: as it is written, and with its accents composed."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._written: dict[str, list[str]] = defaultdict(list)
        self._composed: dict[str, list[str]] = defaultdict(list)
        for path in paths:
            stem = _stem(path)
            self._written[stem].append(path)
            if not stem.isascii():
                self._composed[composed(stem)].append(path)

    def of(self, path: str) -> list[str]:
        """Those that have the stem of ``path``, or else one that looks like it."""
        stem = _stem(path)
        return self._written.get(stem) or self._composed.get(composed(stem), [])


def _fitting(path: str, stems: _Stems) -> list[str]:
    found = stems.of(path)
    return [other for other in found if _same_suffix(path, other)] or found


def _why_alone(partner: str, limit: int | None) -> tuple[str, str]:
    """Why pictures have no partner, and the cure; ``limit`` is the max_num_samples that was reached, or None."""
    reason = f'have no partner in data set "{partner}"'
    if limit is not None:
        return (
            f"{reason}, of which max_num_samples uses {limit}",
            f'take max_num_samples out of "{partner}"; on the data set that needs its pictures it uses fewer of both',
        )
    cure = "add a picture of the same relative path and stem for each (an all-white one for a mask that hides nothing)"
    return reason, cure


def _lost(path: str, fitting: Sequence[str], refused: _Stems) -> str | None:
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
