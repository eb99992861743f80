"""Latents asked for one by one during training: from the cache where it has them, else encoded then and there."""

from __future__ import annotations

from threading import Lock

from simpletuner.core.batch import Latents
from simpletuner.core.errors import NonFiniteError
from simpletuner.data.cache.decode import first_read, known_content, naming, picture_pixels
from simpletuner.data.cache.latents import ImageCodec, LatentStore, encode, is_finite
from simpletuner.data.cache.store import TensorStore
from simpletuner.data.entries import Entry
from simpletuner.data.files.digests import Digests
from simpletuner.data.sources.base import Source


class LatentsOnDemand:
    """One data set's latents; ``keep=False`` stores nothing (`vae_cache_disable`).

    Entries that are missing or damaged are made again, to the same bytes if ``codec`` is the
    :func:`~simpletuner.data.cache.latents.steady` one of the filling. May be called from several threads.
    """

    def __init__(self, source: Source, digests: Digests, store: TensorStore, codec: ImageCodec, *, keep: bool) -> None:
        self._source = source
        self._digests = digests
        self._codec = codec
        self._latents = LatentStore(store, codec.fingerprint())
        self._keep = keep
        self._encoding = Lock()

    def __call__(self, entry: Entry) -> Latents:
        """The posterior of a picture, (C, h, w).

        Raises:
            PictureError: its latent is not in the cache, and the file cannot be decoded or has changed since it was
                first read: what the run trains on never changes.
            NonFiniteError: its latent is not finite, in whatever number format.
        """
        with naming(str(entry.sample)):
            digest, content = first_read(self._source, self._digests, entry.sample.path)
            return self._latents.read(self._latents.key(entry, digest)) or self._make(entry, digest, content)

    def _make(self, entry: Entry, digest: str, content: bytes | None) -> Latents:
        content = content or known_content(self._source, entry.sample.path, digest)
        with self._encoding:
            (made,) = encode(self._codec, [picture_pixels(entry, content)])
        if not is_finite(made):
            cure = "run the VAE in fp32 (vae_dtype), or remove the file"
            raise NonFiniteError(
                f"{entry.sample}: the VAE gives a non-finite latent", files=(str(entry.sample),), cure=cure
            )
        if self._keep:
            self._latents.write(entry, digest, made)
        return made
