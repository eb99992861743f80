"""Encode the pictures that have no latent yet."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import TypeAlias

from torch import Tensor

from simpletuner.core.batch import Latents
from simpletuner.core.events import Emit, Notice, StageProgress
from simpletuner.core.keyed import derive_seed
from simpletuner.data.cache.crew import FillSettings, encoders, pools, shares
from simpletuner.data.cache.decode import picture_pixels
from simpletuner.data.cache.latents import ImageCodec, LatentStore, Sparing, encode, is_finite, steady
from simpletuner.data.cache.order import own_order
from simpletuner.data.cache.store import TensorStore
from simpletuner.data.entries import Dropped, Entry, PictureError
from simpletuner.data.files.ahead import Behind, ahead
from simpletuner.data.files.digests import Digests
from simpletuner.data.files.headers import quiet_pillow
from simpletuner.data.sources.base import Source


@dataclass(frozen=True)
class LatentCache:
    """Where the latents of a data set come from, what makes them, and where they go."""

    source: Source
    digests: Digests
    store: TensorStore
    codec: ImageCodec


@dataclass(frozen=True)
class Filled:
    """What a filling did with this process's share. ``dropped`` is sorted by file."""

    dropped: tuple[Dropped, ...]
    encoded: int
    reused: int


@dataclass(frozen=True)
class _Prepared:
    """A picture that was read: with ``pixels`` when its latent is still to be made."""

    entry: Entry
    digest: str
    pixels: Tensor | None


_Made: TypeAlias = tuple[_Prepared, Latents]
_HandOn: TypeAlias = Callable[[Sequence[_Prepared]], None]


@dataclass
class _Tally:
    """What the filling has done so far."""

    dropped: list[Dropped] = field(default_factory=list)
    encoded: int = 0
    reused: int = 0
    counting: Lock = field(default_factory=Lock)

    def count(self, encoded: int) -> None:
        """May be told from several threads."""
        with self.counting:
            self.encoded += encoded

    @property
    def done(self) -> int:
        return len(self.dropped) + self.encoded + self.reused


def fill_latents(entries: Iterable[Entry], cache: LatentCache, how: FillSettings, emit: Emit, label: str) -> Filled:
    """Make every picture a latent that has none: ``mean`` and ``logvar``, (C, h, w) float32.

    An entry whose file is known and whose key is there is reused unopened: damage is found, and mended, when it is
    used. Pictures of one size are encoded together, fewer when memory runs out. A picture that cannot be decoded,
    changed its size since the scan or gives a non-finite latent is dropped, with the reason. What is done is kept when
    the filling is interrupted. On a CPU, several batches of small pictures are encoded at the same time.

    ``how.ranks`` processes divide the pictures by path. Processes that know nothing of each other may fill one folder
    too: each takes its batches in an order of its own and passes over what another one has made.

    Raises:
        OSError: the cache cannot be written.
    """

    def warn(text: str) -> None:
        emit(Notice(f"{label}: {text}", level="warning"))

    filling = _Filling(cache, how, Sparing(steady(cache.codec, how.batch_size, how.threads), warn))
    missing = filling.missing(entries)
    total = filling.tally.done + len(missing)
    # Closed by name: an exception keeps the frame alive, and with it the threads.
    with quiet_pillow(), closing(filling.run(missing)) as progress:
        for done in progress:
            emit(StageProgress("init_vae_cache", f"VAE cache progress ({label})", done, total))
    tally = filling.tally
    return Filled(tuple(sorted(tally.dropped, key=lambda item: item.file)), tally.encoded, tally.reused)


class _Filling:
    """One call of :func:`fill_latents`."""

    def __init__(self, cache: LatentCache, how: FillSettings, codec: ImageCodec) -> None:
        self.tally = _Tally()
        self._source = cache.source
        self._digests = cache.digests
        self._codec = codec
        self._latents = LatentStore(cache.store, cache.codec.fingerprint())
        self._store = cache.store
        self._how = how
        self._batch: list[_Prepared] = []

    def missing(self, entries: Iterable[Entry]) -> list[Entry]:
        """This process's entries that are not known to be there. Touches neither a picture nor a cache file."""
        there = self._store.keys()
        missing: list[Entry] = []
        for entry in entries:
            if not self._is_mine(entry):
                continue
            digest = self._digests.get(entry.sample.path)
            if digest is not None and self._latents.key(entry, digest) in there:
                self.tally.reused += 1
            else:
                missing.append(entry)
        return missing

    def run(self, missing: Sequence[Entry]) -> Generator[int, None, None]:
        """Encode; yield how many entries are done, now and then and at the end."""
        how = self._how
        told = 0
        encoding = encoders(missing, how)
        writers = how.workers if encoding == 1 else encoding
        with pools(how.workers, writers) as (reading, writing):
            # One batch more than are being encoded, so that no thread waits for the slowest.
            behind = Behind(writing, writers if encoding == 1 else writers + 1)
            hand_on = partial(self._encode_here if encoding == 1 else self._encode_behind, behind)
            share, most = shares(how, encoding)
            for prepared in ahead(reading, self._prepared, own_order(missing, how.batch_size, share), most):
                for one in prepared:
                    self._take(one, hand_on)
                if self.tally.done - told >= how.batch_size:
                    told = self.tally.done
                    yield told
            self._encode(hand_on)
            behind.finish()
        if self.tally.done != told:
            yield self.tally.done

    def _is_mine(self, entry: Entry) -> bool:
        # By path, so that a picture that is trained at several sizes is read by one process.
        return self._how.ranks == 1 or derive_seed(entry.sample.path) % self._how.ranks == self._how.rank

    def _prepared(self, entries: Sequence[Entry]) -> list[_Prepared | Dropped]:
        """Runs in a thread: everything up to the pixels."""
        return [self._prepare(entry) for entry in entries]

    def _prepare(self, entry: Entry) -> _Prepared | Dropped:
        path = entry.sample.path
        try:
            known = self._digests.get(path)
            if known is not None and self._has(entry, known):
                return _Prepared(entry, known, None)
            content, digest = self._digests.read(self._source, path)
            if digest != known and self._has(entry, digest):
                return _Prepared(entry, digest, None)
            return _Prepared(entry, digest, picture_pixels(entry, content))
        except PictureError as error:
            return error.dropped(path)

    def _take(self, prepared: _Prepared | Dropped, hand_on: _HandOn) -> None:
        if isinstance(prepared, Dropped):
            self.tally.dropped.append(prepared)
        elif prepared.pixels is None:
            self.tally.reused += 1
        else:
            if self._batch and self._batch[0].entry.placement.target != prepared.entry.placement.target:
                self._encode(hand_on)
            self._batch.append(prepared)
            if len(self._batch) == self._how.batch_size:
                self._encode(hand_on)

    def _encode(self, hand_on: _HandOn) -> None:
        # Another process may have made some since they were read.
        batch = [waiting for waiting in self._batch if not self._has(waiting.entry, waiting.digest)]
        self.tally.reused += len(self._batch) - len(batch)
        self._batch = []
        if batch:
            hand_on(batch)

    def _encode_here(self, behind: Behind, batch: Sequence[_Prepared]) -> None:
        behind.add(partial(self._write, self._made(batch)))

    def _encode_behind(self, behind: Behind, batch: Sequence[_Prepared]) -> None:
        behind.add(lambda: self._write(self._made(batch)))

    def _made(self, batch: Sequence[_Prepared]) -> list[_Made]:
        """The latents of a batch that can be used. Runs in a thread where batches are encoded side by side."""
        made = encode(self._codec, [waiting.pixels for waiting in batch if waiting.pixels is not None])
        kept = [pair for pair in zip(batch, made, strict=True) if self._is_usable(*pair)]
        self.tally.count(len(kept))
        return kept

    def _has(self, entry: Entry, digest: str) -> bool:
        return self._store.has(self._latents.key(entry, digest))

    def _is_usable(self, waiting: _Prepared, latents: Latents) -> bool:
        if is_finite(latents):
            return True
        error = PictureError("the VAE gives a non-finite latent", cure="run the VAE in fp32, or remove the file")
        self.tally.dropped.append(error.dropped(waiting.entry.sample.path))
        return False

    def _write(self, kept: Sequence[_Made]) -> None:
        """Runs in a thread."""
        for waiting, latents in kept:
            self._latents.write(waiting.entry, waiting.digest, latents)
