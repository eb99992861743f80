"""Masks and reference pictures belong to the picture of the same relative path and stem."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from simpletuner.core.errors import DataError

_NAMED = 8


def pair(paths: Sequence[str], partners: Iterable[str], *, dataset: str, partner: str) -> dict[str, str]:
    """The partner of each of ``paths``: same folder below the root, same stem; of several the one of the same suffix.

    Raises:
        DataError: pictures without a partner, or with several that fit equally well; they are named.
    """
    by_stem = _by_stem(partners)
    found = {path: _fitting(path, by_stem) for path in paths}
    _require(
        [path for path, fitting in found.items() if not fitting],
        f'have no partner in data set "{partner}"',
        "add a picture of the same relative path and stem for each (an all-white one for a mask that hides nothing)",
        dataset,
    )
    _require(
        [path for path, fitting in found.items() if len(fitting) > 1],
        f'have several partners in data set "{partner}"',
        "keep one file of each stem",
        dataset,
    )
    return {path: fitting[0] for path, fitting in found.items()}


def _stem(path: str) -> str:
    return str(PurePosixPath(path).with_suffix(""))


def _by_stem(paths: Iterable[str]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        found[_stem(path)].append(path)
    return found


def _fitting(path: str, by_stem: Mapping[str, list[str]]) -> list[str]:
    found = by_stem.get(_stem(path), [])
    suffix = PurePosixPath(path).suffix
    return [other for other in found if PurePosixPath(other).suffix == suffix] or found


def _require(wrong: Sequence[str], reason: str, cure: str, dataset: str) -> None:
    if wrong:
        named = ", ".join(wrong[:_NAMED]) + (f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else "")
        raise DataError(f"{len(wrong)} pictures {reason}: {named}", key=dataset, cure=cure)
