"""Encode the pictures that have no latent yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

import torch
from torch import Tensor

from simpletuner.core.batch import Latents
from simpletuner.core.events import Emit, StageProgress
from simpletuner.core.samples import SampleId
from simpletuner.data.cache import TensorStore
from simpletuner.data.digests import DigestMemory
from simpletuner.data.entries import Dropped, Entry, PictureError, ScannedDataset
from simpletuner.data.geometry import Size
from simpletuner.data.headers import quiet_pillow
from simpletuner.data.images import open_rgb, resize_and_crop
from simpletuner.data.keys import latent_key
from simpletuner.data.pixels import to_tensor
from simpletuner.data.sources import FolderSource

LATENT_DTYPE = "float32"
_THREADS = 4
# Small, so that progress moves: at 1024 px a CPU takes a second for each picture.
_WINDOW = 4


class ImageCodec(Protocol):
    """What turns pixels into latents; scaling is inside."""

    def fingerprint(self) -> str:
        """Everything that its results depend on: weights, revision, scaling, precision."""
        ...

    def encode(self, pixels: Tensor) -> Latents:
        """(B, 3, H, W) in [-1, 1] to a posterior whose ``mean`` and ``logvar`` are (B, C, h, w)."""
        ...


@dataclass(frozen=True)
class LatentIndex:
    """Which entry holds which sample's latent, and what happened on the way."""

    keys: dict[SampleId, str]
    dropped: tuple[Dropped, ...]
    encoded: int
    reused: int


@dataclass(frozen=True)
class _Prepared:
    """A picture that was looked at: with ``pixels`` when its latent is still to be made."""

    entry: Entry
    key: str
    pixels: Tensor | None


@dataclass
class _Tally:
    """What the filling has done so far."""

    keys: dict[SampleId, str] = field(default_factory=dict)
    dropped: list[Dropped] = field(default_factory=list)
    encoded: int = 0
    reused: int = 0
    waiting: dict[Size, list[_Prepared]] = field(default_factory=lambda: defaultdict(list))


def fill_latents(
    scanned: ScannedDataset, source: FolderSource, store: TensorStore, codec: ImageCodec, batch_size: int, emit: Emit
) -> LatentIndex:
    """Make sure that every picture has a sound latent: ``mean`` and ``logvar``, (C, h, w) float32.

    Pictures of one size are encoded ``batch_size`` at a time. Entries that exist are checked, not made again. A
    picture that cannot be decoded, changed its size since the scan or gives a non-finite latent is dropped, with the
    reason. What is done is kept when the filling is interrupted.
    """
    filling = _Filling(source, store, codec, batch_size)
    try:
        for done in filling.run(scanned.entries):
            emit(StageProgress("init_vae_cache", f"VAE cache progress ({scanned.id})", done, len(scanned.entries)))
    finally:
        filling.memory.save()
    tally = filling.tally
    return LatentIndex(tally.keys, tuple(tally.dropped), tally.encoded, tally.reused)


def read_latents(store: TensorStore, key: str) -> Latents | None:
    """One picture's posterior, ``mean`` and ``logvar`` (C, h, w) float32, or None for a miss."""
    entry = store.read(key)
    return Latents(entry["mean"], entry["logvar"]) if entry is not None else None


class _Filling:
    """One call of :func:`fill_latents`."""

    def __init__(self, source: FolderSource, store: TensorStore, codec: ImageCodec, batch_size: int) -> None:
        self.memory = DigestMemory(store.folder)
        self.tally = _Tally()
        self._source = source
        self._store = store
        self._codec = codec
        self._fingerprint = codec.fingerprint()
        self._batch_size = batch_size

    def run(self, entries: Sequence[Entry]) -> Iterator[int]:
        """Yield how many entries have been looked at, after each window of them."""
        rest, done = iter(sorted(entries, key=lambda entry: entry.placement.target)), 0
        with quiet_pillow(), ThreadPoolExecutor(_THREADS) as pool:
            while window := list(islice(rest, _WINDOW)):
                for prepared in pool.map(self._prepare, window):
                    self._take(prepared)
                done += len(window)
                if done == len(entries):
                    self._flush()
                yield done

    def _prepare(self, entry: Entry) -> _Prepared | Dropped:
        """Runs in a thread: everything up to the pixels."""
        path = entry.sample.path
        try:
            digest = self.memory.remembered(self._source, path)
            content = None
            if digest is None:
                content, digest = self.memory.read(self._source, path)
            key = latent_key(digest, entry.placement, entry.crop, self._fingerprint, LATENT_DTYPE)
            if self._store.read(key) is not None:
                return _Prepared(entry, key, None)
            return _Prepared(entry, key, picture_pixels(entry, content or self._source.read(path)))
        except PictureError as error:
            return error.dropped(path)

    def _take(self, prepared: _Prepared | Dropped) -> None:
        if isinstance(prepared, Dropped):
            self.tally.dropped.append(prepared)
        elif prepared.pixels is None:
            self.tally.keys[prepared.entry.sample] = prepared.key
            self.tally.reused += 1
        else:
            waiting = self.tally.waiting[prepared.entry.placement.target]
            waiting.append(prepared)
            if len(waiting) == self._batch_size:
                self._encode(prepared.entry.placement.target)

    def _flush(self) -> None:
        for size in list(self.tally.waiting):
            self._encode(size)

    def _encode(self, size: Size) -> None:
        batch = self.tally.waiting.pop(size)
        pixels = torch.stack([prepared.pixels for prepared in batch if prepared.pixels is not None])
        posterior = self._codec.encode(pixels)
        means, logvars = (part.detach().to("cpu", torch.float32) for part in (posterior.mean, posterior.logvar))
        for prepared, mean, logvar in zip(batch, means, logvars, strict=True):
            self._keep(prepared, mean, logvar)

    def _keep(self, prepared: _Prepared, mean: Tensor, logvar: Tensor) -> None:
        sample = prepared.entry.sample
        if not (mean.isfinite().all() and logvar.isfinite().all()):
            error = PictureError("the VAE gives a non-finite latent", cure="run the VAE in fp32, or remove the file")
            self.tally.dropped.append(error.dropped(sample.path))
            return
        self._store.write(prepared.key, {"mean": mean, "logvar": logvar}, {"sample": str(sample)})
        self.tally.keys[sample] = prepared.key
        self.tally.encoded += 1


def picture_pixels(entry: Entry, content: bytes) -> Tensor:
    """The pixels (3, H, W) in [-1, 1] that the VAE sees of a picture file. Raises PictureError."""
    image = open_rgb(content)
    if image.size != (entry.width, entry.height):
        raise PictureError(
            f"it was {entry.width}x{entry.height} when the folder was scanned and is {image.width}x{image.height} now",
            cure="start again: the folder changed meanwhile",
        )
    return to_tensor(resize_and_crop(image, entry.placement, entry.crop))
