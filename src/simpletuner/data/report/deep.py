"""`check --deep`: every picture decoded once. What is damaged, what is there twice, and what leaked to an eval set."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from PIL import Image

from simpletuner.core.events import Emit, StageProgress
from simpletuner.data.entries import Dropped, PictureError, printable
from simpletuner.data.files.ahead import ahead
from simpletuner.data.files.digests import Digests
from simpletuner.data.files.headers import quiet_pillow
from simpletuner.data.files.images import open_rgb
from simpletuner.data.files.index import Index
from simpletuner.data.files.table import PictureTable
from simpletuner.data.places.geometry import Size
from simpletuner.data.places.limits import mismatch_refusal
from simpletuner.data.report.alike import NEAR, Look, alike_groups, alike_pairs
from simpletuner.data.sources.base import Source

# Handing over one picture at a time would cost as much as its hash.
_PIECE = 16
_WINDOW = 32 * _PIECE
_SIGNATURES = {
    "JPEG": (b"\xff\xd8", ("jpg", "jpeg", "jpe", "jfif")),
    "PNG": (b"\x89PNG", ("png", "apng")),
    "GIF": (b"GIF8", ("gif",)),
    "BMP": (b"BM", ("bmp",)),
    "WebP": (b"RIFF", ("webp",)),
}


class Reading(NamedTuple):
    """One decoded picture: its look, the digest of its bytes, and the format it has while its name says another."""

    look: Look
    digest: str
    format: str = ""


@dataclass(frozen=True)
class Depths:
    """What decoding tells of a data set. ``readings`` are by path, of the pictures that are sound."""

    readings: Mapping[str, Reading] = field(default_factory=dict)
    dropped: tuple[Dropped, ...] = ()
    damaged: frozenset[str] = frozenset()

    @property
    def mislabelled(self) -> tuple[str, ...]:
        """``a.png (JPEG)`` for each file that holds another format than its name says; it is used all the same."""
        return tuple(f"{path} ({found.format})" for path, found in self.readings.items() if found.format)


@dataclass(frozen=True, order=True)
class Leak:
    """A held-out picture that is also trained on, or nearly; ``distance`` is 0 to 4 bits of the hash.

    ``identical``: the files are the same, byte for byte.
    """

    held_out: str
    trained: str
    distance: int
    identical: bool = False


class Diver:
    """Decodes data sets, on all cores. Files that two data sets share are read once."""

    def __init__(self, look: Callable[[Image.Image], Look], emit: Emit) -> None:
        self._look = look
        self._emit = emit
        self._known: dict[tuple[str, str], Reading | Dropped] = {}
        self._learned: dict[str, dict[str, tuple[str, str]]] = defaultdict(dict)

    def dive(self, table: PictureTable, source: Source, index: Index) -> Depths:
        """Decode every picture of ``table``. What is learned is in the index a window at a time."""
        found: dict[str, Reading] = {}
        dropped: list[Dropped] = []
        damaged: list[str] = []
        index.learn_digests(self._learned[source.where])
        for path, reading in self._readings(table, source, index):
            if isinstance(reading, Dropped):
                dropped.append(reading)
                damaged.append(path)
            else:
                found[path] = reading
        return Depths(found, tuple(dropped), frozenset(damaged))

    def _readings(self, table: PictureTable, source: Source, index: Index) -> Iterator[tuple[str, Reading | Dropped]]:
        digests, where = Digests({}), source.where

        def read(rows: range) -> list[Reading | Dropped]:
            known = (self._known.get((where, table.paths[row])) for row in rows)
            return [found or self._read(table, row, source, digests) for row, found in zip(rows, known, strict=True)]

        threads, total = os.cpu_count() or 1, len(table)
        pieces = [range(start, min(start + _PIECE, total)) for start in range(0, total, _PIECE)]
        with quiet_pillow(), ThreadPoolExecutor(threads) as pool:
            for rows, readings in zip(pieces, ahead(pool, read, pieces, 4 * threads), strict=True):
                for row, reading in zip(rows, readings, strict=True):
                    self._known[where, table.paths[row]] = reading
                    yield table.paths[row], reading
                if rows.stop % _WINDOW == 0 or rows.stop == total:
                    self._keep(digests, where, index)
                    self._emit(StageProgress("check_deep", f"Decoding {table.dataset}", rows.stop, total))

    def _keep(self, digests: Digests, where: str, index: Index) -> None:
        # Threads go on learning meanwhile.
        new = dict(digests.learned.popitem() for _ in range(len(digests.learned)))
        index.learn_digests(new)
        self._learned[where].update(new)

    def _read(self, table: PictureTable, row: int, source: Source, digests: Digests) -> Reading | Dropped:
        path = table.paths[row]
        try:
            content, digest = digests.read(source, path)
            image = open_rgb(content)
        except PictureError as error:
            return error.dropped(path)
        size, told = Size(*image.size), Size(int(table.widths[row]), int(table.heights[row]))
        refusal = mismatch_refusal(told, size, jpeg=content.startswith(_SIGNATURES["JPEG"][0]))
        if refusal is not None:
            return Dropped(printable(path), refusal.reason, refusal.cure)
        return Reading(self._look(image), digest, _other_format(path, content))


def identical(digests: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Files with the same bytes; ``digests`` are by path."""
    found: dict[str, list[str]] = defaultdict(list)
    for path, digest in digests.items():
        found[digest].append(path)
    return sorted((tuple(sorted(paths)) for paths in found.values() if len(paths) > 1), key=lambda paths: paths[0])


def similar(readings: Mapping[str, Reading]) -> list[tuple[str, ...]]:
    """Pictures that look alike without being the same file; of identical files only the first is named."""
    first: dict[str, str] = {}
    for path in sorted(readings):
        first.setdefault(readings[path].digest, path)
    paths = list(first.values())
    groups = alike_groups([readings[path].look for path in paths])
    return [tuple(paths[place] for place in group) for group in groups]


def leaks(trained: Mapping[str, Reading], held_out: Mapping[str, Reading]) -> list[Leak]:
    """The held-out pictures that are alike to a trained one, each with the nearest; names say the data set as well."""
    names = [*held_out, *trained]
    looks = [reading.look for readings in (held_out, trained) for reading in readings.values()]
    nearest: dict[int, tuple[int, int]] = {}
    for left, right, far in alike_pairs(looks):
        first, second = np.minimum(left, right), np.maximum(left, right)
        across = (first < len(held_out)) & (second >= len(held_out))
        for out, used, bits in zip(first[across].tolist(), second[across].tolist(), far[across].tolist(), strict=True):
            nearest[out] = min(nearest.get(out, (NEAR + 1, 0)), (bits, used))
    found = {names[out]: Leak(names[out], names[used], bits) for out, (bits, used) in nearest.items()}
    same = {reading.digest: name for name, reading in sorted(trained.items(), reverse=True)}
    for name, reading in held_out.items():
        if reading.digest in same:
            found[name] = Leak(name, same[reading.digest], 0, identical=True)
    return sorted(found.values())


def _other_format(path: str, content: bytes) -> str:
    """The format of ``content`` when the name of the file says another; "" when they agree or nobody can tell."""
    suffix = path.rpartition(".")[2].lower()
    for name, (signature, suffixes) in _SIGNATURES.items():
        if content.startswith(signature):
            return "" if suffix in suffixes else name
    return ""
