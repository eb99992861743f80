"""From a folder to the pictures that are trained on and a reason for every one that is not. Decodes no pixel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from simpletuner.core.errors import DataError
from simpletuner.core.events import Emit, StageProgress
from simpletuner.core.keyed import derive_seed
from simpletuner.core.samples import SampleId
from simpletuner.data.captions import CaptionSpec, captions, text_path
from simpletuner.data.crops import CropStyle, plan_crop
from simpletuner.data.entries import Dropped, Entry, PictureError, Refusal, ScannedDataset
from simpletuner.data.geometry import GeometrySpec, Placement, Size, bucket_of, place_all
from simpletuner.data.headers import Header, quiet_pillow, read_header
from simpletuner.data.images import open_rgb
from simpletuner.data.limits import edge_refusal, size_refusal
from simpletuner.data.sources import FolderSource, Listing

_THREADS = 8
_WINDOW = 256


@dataclass(frozen=True)
class ScanSpec:
    """What a scan needs to know of a data set.

    ``maximum_edge`` is the longest edge that the model takes, in pixels. ``known_sizes`` is a resolution map of the
    user's (SPEC 3.6.8).
    """

    id: str
    folder: str
    geometry: GeometrySpec
    captions: CaptionSpec
    crop_style: CropStyle = "random"
    max_num_samples: int | None = None
    maximum_edge: int | None = None
    known_sizes: Mapping[str, Size] | None = None


@dataclass(frozen=True)
class _Probe:
    path: str
    header: Header
    captions: tuple[str, ...]


def scan(spec: ScanSpec, *, seed: int, emit: Emit) -> ScannedDataset:
    """Find, measure, caption and place every picture; in path order.

    Raises:
        ConfigError: the folder does not exist.
        DataError: no picture is left; the message counts what was found and why it was dropped.
    """
    source = FolderSource.at(spec.folder)
    listing = source.listing()
    probes: list[_Probe] = []
    dropped = list(listing.dropped)
    for found in _probe_all(source, listing, spec, emit):
        if isinstance(found, Dropped):
            dropped.append(found)
        else:
            probes.append(found)
    files = len(listing.pictures) + len(listing.dropped)
    if not probes:
        raise _empty(spec, files, dropped)
    kept = _subset(probes, spec)
    placements = place_all([probe.header.size for probe in kept], spec.geometry, spec.known_sizes)
    entries = tuple(_entry(probe, placement, spec, seed) for probe, placement in zip(kept, placements, strict=True))
    return ScannedDataset(spec.id, spec.folder, files, entries, tuple(dropped), _notes(probes, kept, spec))


def _probe_all(source: FolderSource, listing: Listing, spec: ScanSpec, emit: Emit) -> Iterator[_Probe | Dropped]:
    """Probe in threads, a window at a time; results come in path order."""

    def probe(path: str) -> _Probe | Dropped:
        try:
            return _probe(source, listing, spec, path)
        except PictureError as error:
            return error.dropped(path)

    paths, done = iter(listing.pictures), 0
    with quiet_pillow(), ThreadPoolExecutor(_THREADS) as pool:
        while window := list(islice(paths, _WINDOW)):
            yield from pool.map(probe, window)
            done += len(window)
            emit(StageProgress("init_data_backend", f"Scanning {spec.id}", done, len(listing.pictures)))


def _probe(source: FolderSource, listing: Listing, spec: ScanSpec, path: str) -> _Probe | Dropped:
    header = _header(source, path)
    _, target = bucket_of(header.size, spec.geometry)
    refusal = size_refusal(header.size, spec.geometry) or edge_refusal(header.size, target, spec.maximum_edge)
    if refusal is not None:
        return Dropped(path, refusal.reason, refusal.cure)
    beside = text_path(path)
    text = source.read(beside) if spec.captions.reads_text and beside in listing.files else None
    found = captions(path, spec.captions, text)
    if isinstance(found, Refusal):
        return Dropped(path, found.reason, found.cure)
    return _Probe(path, header, found)


def _header(source: FolderSource, path: str) -> Header:
    """The header; a picture whose end is not where it should be is decoded to see whether it is truncated."""
    try:
        with source.open(path) as stream:
            header = read_header(stream)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise PictureError(f"cannot be read ({reason})", cure="check that it exists and may be read") from error
    if not header.complete:
        open_rgb(source.read(path))
    return header


def _subset(probes: Sequence[_Probe], spec: ScanSpec) -> list[_Probe]:
    """At most ``max_num_samples``, chosen by name: a picture added later moves few others in or out."""
    if spec.max_num_samples is None or len(probes) <= spec.max_num_samples:
        return list(probes)
    ranked = sorted(probes, key=lambda probe: (derive_seed(spec.id, probe.path, "subset"), probe.path))
    return sorted(ranked[: spec.max_num_samples], key=lambda probe: probe.path)


def _entry(probe: _Probe, placement: Placement, spec: ScanSpec, seed: int) -> Entry:
    crop = plan_crop(placement, spec.crop_style, seed, spec.id, probe.path)
    size = probe.header.size
    return Entry(SampleId(spec.id, probe.path), size.width, size.height, probe.captions, placement, crop)


def _notes(probes: Sequence[_Probe], kept: Sequence[_Probe], spec: ScanSpec) -> tuple[str, ...]:
    notes: list[str] = []
    if len(kept) < len(probes):
        notes.append(f'data set "{spec.id}": max_num_samples keeps {len(kept)} of {len(probes)} pictures')
    if animated := [probe.path for probe in kept if probe.header.animated]:
        notes.append(
            f'data set "{spec.id}": the first frame of {len(animated)} animations is used, such as {animated[0]}'
        )
    return tuple(notes)


def _empty(spec: ScanSpec, files: int, dropped: Sequence[Dropped]) -> DataError:
    # Reasons begin with what is common to many pictures.
    reasons = Counter(item.reason.partition(":")[0] for item in dropped)
    counted = "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common(5))
    first = f" ({counted}; first {dropped[0].file}: {dropped[0].reason})" if dropped else ""
    cure = dropped[0].cure if dropped else "put JPEG, PNG or WebP pictures into the folder, or correct the path"
    return DataError(
        f'no images detected in dataset "{spec.id}": {files} picture files found, {len(dropped)} dropped, 0 usable'
        + first,
        file=spec.folder,
        key="instance_data_dir",
        cure=f"{cure}; repeats multiply usable pictures, so raising them cannot help here",
    )
