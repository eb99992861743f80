"""In which bucket, at which size and through which window every picture of a data set is trained in one epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simpletuner.core.samples import SampleId
from simpletuner.data.entries import Entry, Refusal
from simpletuner.data.files.table import Derived, PictureTable
from simpletuner.data.places.aspects import choose_aspect, chooses_aspect, nominal_sizes
from simpletuner.data.places.buckets import Bears, merge_small
from simpletuner.data.places.crops import CropStyle, plan_crop
from simpletuner.data.places.geometry import GeometrySpec, Size, bucket_of, place_in
from simpletuner.data.places.limits import lacking


@dataclass(frozen=True)
class ArrangeSpec:
    """What decides places. ``known_sizes`` is the user's resolution map (SPEC 3.6.8), ``maximum_edge`` the longest edge
    that the model takes: the same that the scan judged with.

    ``anew`` crops anew in each epoch, ``redraw`` draws random shapes anew. A bucket that gives fewer uses an epoch
    than ``merge_below`` joins the nearest one whose size enlarges none of its pictures beyond the geometry's
    ``max_upscale``; ``repeats`` counts its uses.
    """

    geometry: GeometrySpec
    crop_style: CropStyle = "random"
    known_sizes: Mapping[str, Size] | None = None
    maximum_edge: int | None = None
    anew: bool = False
    redraw: bool = True
    merge_below: int = 0
    repeats: int = 0

    @property
    def epochs_differ(self) -> bool:
        """Whether a picture's window may lie elsewhere in the next epoch."""
        return self.anew or (self.redraw and self.draws_aspects)

    @property
    def draws_aspects(self) -> bool:
        """Whether each picture draws the shape it is cropped to."""
        return self.geometry.crop and self.geometry.crop_aspect == "random"


@dataclass(frozen=True, eq=False)
class Arrangement:
    """One epoch of a table. ``keys`` are the buckets from tall to wide, ``targets`` their sizes, ``codes`` (N,) int32
    the bucket of each row.
    """

    table: PictureTable
    spec: ArrangeSpec
    seed: int
    epoch: int
    keys: tuple[str, ...]
    targets: tuple[Size, ...]
    codes: NDArray[np.int32]

    @property
    def counts(self) -> dict[str, int]:
        """Pictures by bucket."""
        found = np.bincount(self.codes, minlength=len(self.keys))
        return {key: int(count) for key, count in zip(self.keys, found, strict=True)}

    @property
    def usual_size(self) -> Size:
        """The size that most pictures are trained at."""
        return self.targets[int(np.argmax(np.bincount(self.codes, minlength=len(self.keys))))]

    @property
    def buckets(self) -> dict[str, Sequence[SampleId]]:
        """Samples by bucket, in path order, made when they are asked for."""
        order = np.argsort(self.codes, kind="stable").astype(np.int32)
        starts = np.searchsorted(self.codes[order], np.arange(len(self.keys) + 1))
        return {key: self.table.samples(order[starts[at] : starts[at + 1]]) for at, key in enumerate(self.keys)}

    @property
    def entries(self) -> Sequence[Entry]:
        """Every picture with its place, made when it is asked for."""
        return Derived(len(self.table), self.entry)

    def entry(self, row: int) -> Entry:
        """One picture with its place."""
        size = Size(int(self.table.widths[row]), int(self.table.heights[row]))
        code = int(self.codes[row])
        placement = place_in(size, self.keys[code], self.targets[code], self.spec.geometry)
        sample = self.table.sample(row)
        when = (self.epoch,) if self.spec.anew else ()
        crop = plan_crop(
            placement,
            self.spec.crop_style,
            self.seed,
            sample.dataset,
            sample.path,
            *when,
            focus=self.table.foci.get(sample.path),
        )
        return Entry(sample, size.width, size.height, self.table.captions[row], placement, crop)


def arrange(table: PictureTable, spec: ArrangeSpec, *, seed: int, epoch: int) -> Arrangement:
    """Place every picture; a pure function of its arguments.

    One key has one size: the user's map first, then that of the first picture in path order (SPEC 3.6.3).
    """
    naming = _Naming(spec)
    keyed = _drawn(table, naming, seed, epoch) if spec.draws_aspects else _measured(table, naming)
    names = list(naming.numbers)
    counts = np.bincount(keyed, minlength=len(names))
    by_key = {name: int(count) for name, count in zip(names, counts, strict=True)}
    joined = (
        merge_small(by_key, spec.repeats, spec.merge_below, _bearing(table, naming, keyed)) if spec.merge_below else {}
    )
    kept = sorted({joined.get(key, key) for key in names}, key=lambda key: (float(key), key))
    place = {key: kept.index(joined.get(key, key)) for key in names}
    codes = np.asarray([place[name] for name in names], dtype=np.int32)[keyed]
    return Arrangement(table, spec, seed, epoch, tuple(kept), tuple(naming.sizes[key] for key in kept), codes)


def _bearing(table: PictureTable, naming: _Naming, keyed: NDArray[np.int32]) -> Bears:
    """Whether all pictures of one bucket may be trained at the size of another."""
    most, numbers, sizes = naming.spec.geometry.max_upscale, naming.numbers, naming.sizes
    # The picture of a bucket that covers least has its least width or its least height.
    least = np.full((2, len(numbers)), np.iinfo(np.int32).max, dtype=np.int32)
    np.minimum.at(least[0], keyed, table.widths)
    np.minimum.at(least[1], keyed, table.heights)

    def bears(small: str, host: str) -> bool:
        width, height = (int(edge) for edge in least[:, numbers[small]])
        return most is None or lacking(Size(width, height), sizes[host]) <= most

    return bears


class _Naming:
    """The buckets met so far: ``numbers`` by key, in the order of meeting, and the size of each."""

    def __init__(self, spec: ArrangeSpec) -> None:
        self.spec = spec
        self.numbers: dict[str, int] = {}
        # Named shapes have their sizes whatever was drawn first, so that a bucket is the same in every epoch.
        chosen = chooses_aspect(spec.geometry)
        self.sizes = nominal_sizes(spec.geometry, spec.known_sizes) if chosen else dict(spec.known_sizes or {})

    def number(self, width: int, height: int, *parts: object) -> int:
        """The bucket of a picture; ``parts`` key the draw of its shape."""
        size = Size(width, height)
        known, longest = self.spec.known_sizes, self.spec.maximum_edge
        aspect = choose_aspect(size, self.spec.geometry, *parts, known=known, maximum_edge=longest)
        # The scan has dropped pictures without a possible shape.
        assert not isinstance(aspect, Refusal)
        key, target = bucket_of(size, self.spec.geometry, aspect)
        self.sizes.setdefault(key, target)
        return self.numbers.setdefault(key, len(self.numbers))


def _measured(table: PictureTable, naming: _Naming) -> NDArray[np.int32]:
    """The bucket of each row, where only sizes decide."""
    packed = table.widths.astype(np.int64) << 32 | table.heights
    unique, first, inverse = np.unique(packed, return_index=True, return_inverse=True)
    codes = np.empty(len(unique), dtype=np.int32)
    for at in np.argsort(first).tolist():
        size = int(unique[at])
        codes[at] = naming.number(size >> 32, size & 0xFFFFFFFF)
    found: NDArray[np.int32] = codes[inverse.reshape(-1)]
    return found


def _drawn(table: PictureTable, naming: _Naming, seed: int, epoch: int) -> NDArray[np.int32]:
    """The bucket of each row, where every picture draws its shape."""
    when = epoch if naming.spec.redraw else 0
    sizes = zip(table.paths, table.widths.tolist(), table.heights.tolist(), strict=True)
    found = (naming.number(width, height, seed, table.dataset, path, when) for path, width, height in sizes)
    return np.fromiter(found, np.int32, len(table))
