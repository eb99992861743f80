"""Latents asked for one by one during training: from the cache where it has them, else encoded then and there."""

from __future__ import annotations

from collections.abc import Sequence

from simpletuner.core.batch import Latents
from simpletuner.core.errors import DataError
from simpletuner.core.samples import SampleId
from simpletuner.data.cache import TensorStore
from simpletuner.data.digests import DigestMemory
from simpletuner.data.entries import Entry
from simpletuner.data.fill import LATENT_DTYPE, ImageCodec, picture_pixels, read_latents
from simpletuner.data.keys import latent_key
from simpletuner.data.sources import FolderSource


class LatentsOnDemand:
    """One data set's latents. ``keep=False`` stores nothing (`vae_cache_disable`)."""

    def __init__(
        self, entries: Sequence[Entry], source: FolderSource, store: TensorStore, codec: ImageCodec, *, keep: bool
    ) -> None:
        self._entries = {entry.sample: entry for entry in entries}
        self._source = source
        self._store = store
        self._codec = codec
        self._fingerprint = codec.fingerprint()
        self._memory = DigestMemory(store.folder)
        self._keep = keep
        self._keys: dict[SampleId, str] = {}

    def __call__(self, sample: SampleId) -> Latents:
        """The posterior of ``sample``, (C, h, w).

        Raises:
            PictureError: the picture cannot be decoded; it was whole when the folder was scanned.
            DataError: its latent is not finite.
        """
        entry = self._entries[sample]
        if not self._keep:
            return self._encode(entry, self._source.read(sample.path))
        key = self._key(entry)
        found = read_latents(self._store, key)
        if found is None:
            found = self._encode(entry, self._source.read(sample.path))
            self._store.write(key, {"mean": found.mean, "logvar": found.logvar}, {"sample": str(sample)})
        return found

    def _key(self, entry: Entry) -> str:
        """Found once: a file that changes during the run does not change what the run trains on."""
        if entry.sample not in self._keys:
            digest = self._memory.remembered(self._source, entry.sample.path)
            if digest is None:
                digest = self._memory.read(self._source, entry.sample.path)[1]
            key = latent_key(digest, entry.placement, entry.crop, self._fingerprint, LATENT_DTYPE)
            self._keys[entry.sample] = key
        return self._keys[entry.sample]

    def close(self) -> None:
        """Remember the digests for the next start."""
        if self._keep:
            self._memory.save()

    def _encode(self, entry: Entry, content: bytes) -> Latents:
        posterior = self._codec.encode(picture_pixels(entry, content)[None])
        made = Latents(posterior.mean[0].float().cpu(), posterior.logvar[0].float().cpu())
        if not (made.mean.isfinite().all() and made.logvar.isfinite().all()):
            cure = "run the VAE in fp32 (vae_dtype), or remove the file"
            raise DataError("the VAE gives a non-finite latent", file=str(entry.sample), cure=cure)
        return made
