"""The latents of one codec: how pictures become them, and how they are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from simpletuner.core.batch import Latents
from simpletuner.core.memory import give_back, is_exhausted
from simpletuner.data.cache.keys import LATENT_DTYPE, latent_ingredients, latent_key
from simpletuner.data.cache.store import TensorStore
from simpletuner.data.entries import Entry, printable

_PIXELS_AT_ONCE = 1 << 20


class ImageCodec(Protocol):
    """What turns pixels into latents; scaling is inside."""

    def fingerprint(self) -> str:
        """Everything that its results depend on: weights, revision, scaling, precision."""
        ...

    def encode(self, pixels: Tensor) -> Latents:
        """(B, 3, H, W) in [-1, 1] to a posterior whose ``mean`` and ``logvar`` are (B, C, h, w)."""
        ...


class LatentStore:
    """Latents in a store, by picture. ``fingerprint`` is that of the codec that makes them."""

    def __init__(self, store: TensorStore, fingerprint: str) -> None:
        self.store = store
        self.fingerprint = fingerprint

    def key(self, entry: Entry, digest: str) -> str:
        """Where the latent of a picture belongs; ``digest`` is that of its file's bytes."""
        return latent_key(digest, entry.placement, entry.crop, self.fingerprint, LATENT_DTYPE)

    def ingredients(self, entry: Entry, digest: str) -> dict[str, str]:
        """What the latent of a picture depends on, by name."""
        return latent_ingredients(digest, entry.placement, entry.crop, self.fingerprint, LATENT_DTYPE)

    def read(self, key: str) -> Latents | None:
        """One picture's posterior, ``mean`` and ``logvar`` (C, h, w) float32, or None for a miss.

        An entry that is not finite was written by something else than :meth:`write`: it is removed, and a miss.
        """
        found = self.store.read(key)
        if found is None:
            return None
        latents = Latents(found["mean"], found["logvar"])
        if is_finite(latents):
            return latents
        self.store.remove(key)
        return None

    def write(self, entry: Entry, digest: str, latents: Latents) -> None:
        """Keep one picture's posterior, and with it what it is made of."""
        facts = {"sample": printable(str(entry.sample)), **self.ingredients(entry, digest)}
        self.store.write(self.key(entry, digest), {"mean": latents.mean, "logvar": latents.logvar}, facts)


class Sparing:
    """A codec that works in smaller batches when memory runs out, and keeps to them for pictures of that size."""

    def __init__(self, codec: ImageCodec, tell: Callable[[str], None]) -> None:
        """``tell`` is told once for each size. On a CPU ``codec`` should be :func:`steady`."""
        self._codec = codec
        self._tell = tell
        self._fits: dict[tuple[int, ...], int] = {}

    def fingerprint(self) -> str:
        """That of the codec: batches change no latent."""
        return self._codec.fingerprint()

    def encode(self, pixels: Tensor) -> Latents:
        """As the codec's. Raises what it raises when there is no memory for one picture."""
        fits = self._fits.get(tuple(pixels.shape[1:]), len(pixels))
        made = [self._encode(piece) for piece in pixels.split(fits)]
        return Latents(torch.cat([part.mean for part in made]), torch.cat([part.logvar for part in made]))

    def _encode(self, pixels: Tensor) -> Latents:
        try:
            return self._codec.encode(pixels)
        except (MemoryError, RuntimeError) as error:
            if not is_exhausted(error) or len(pixels) == 1:
                raise
        # The error is gone, and with it the tensors of its frames.
        give_back()
        fits = (len(pixels) + 1) // 2
        self._fits[tuple(pixels.shape[1:])] = fits
        size = f"{pixels.shape[3]}x{pixels.shape[2]}"
        self._tell(f"{len(pixels)} pictures of {size} at once do not fit into memory: {fits} at once from here on")
        return self.encode(pixels)


def side_by_side(pixels: int, batch_size: int, threads: int) -> int:
    """How many batches of pictures of so many ``pixels`` a CPU of so many ``threads`` encodes at the same time.

    The operations of small pictures are too short to be divided: batches are divided instead. All of them together
    have no more pixels than one picture of 1024 px, or than one batch: activations take kilobytes a pixel.
    """
    return min(max(_PIXELS_AT_ONCE // (pixels * batch_size), 1), threads)


class _OnCores:
    """A codec on a CPU whose operations leave cores to the batches that are encoded beside this one."""

    def __init__(self, codec: ImageCodec, batch_size: int, threads: int) -> None:
        self._codec = codec
        self._batch_size = batch_size
        self._threads = threads

    def fingerprint(self) -> str:
        return self._codec.fingerprint()

    def encode(self, pixels: Tensor) -> Latents:
        beside = side_by_side(pixels.shape[2] * pixels.shape[3], self._batch_size, self._threads)
        if beside == 1:
            return self._codec.encode(pixels)
        # A thread's first question takes over what any thread has set last; what it sets after that is its own.
        torch.get_num_threads()
        torch.set_num_threads(self._threads // beside)
        try:
            return self._codec.encode(pixels)
        finally:
            torch.set_num_threads(self._threads)


class _InCompany:
    """A codec that never works on one picture alone."""

    def __init__(self, codec: ImageCodec) -> None:
        self._codec = codec

    def fingerprint(self) -> str:
        return self._codec.fingerprint()

    def encode(self, pixels: Tensor) -> Latents:
        made = self._codec.encode(torch.cat((pixels, pixels)) if len(pixels) == 1 else pixels)
        return Latents(made.mean[: len(pixels)], made.logvar[: len(pixels)])


def steady(codec: ImageCodec, batch_size: int, threads: int = 1) -> ImageCodec:
    """``codec`` so that a picture's latent does not depend on how many others are encoded beside it, or when.

    On a CPU, torch convolves one picture by another routine than two or more, and the last bits differ. So where
    ``batch_size`` is above 1, a picture that is left alone is encoded beside a copy of itself. They differ too with the
    number of threads that an operation is divided among: of the ``threads`` of the CPU, each of the batches that
    :func:`side_by_side` allows has its part, also while it is alone.
    """
    divided = _OnCores(codec, batch_size, threads) if threads > 1 else codec
    return _InCompany(divided) if batch_size > 1 else divided


def encode(codec: ImageCodec, pixels: Sequence[Tensor]) -> list[Latents]:
    """The posterior of each picture, (C, h, w) float32 on the CPU, of pixels (3, H, W) of one size."""
    made = codec.encode(torch.stack(tuple(pixels)))
    means, logvars = (part.detach().to("cpu", torch.float32) for part in (made.mean, made.logvar))
    return [Latents(mean, logvar) for mean, logvar in zip(means, logvars, strict=True)]


def is_finite(latents: Latents) -> bool:
    """Whether no value is infinite or no number."""
    # Asked of every picture: NumPy answers for so few numbers in a quarter of torch's time.
    return all(bool(np.isfinite(part.numpy()).all()) for part in (latents.mean, latents.logvar))
