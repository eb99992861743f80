"""One data set, ready to be trained on: its places in each epoch, its captions, readers of its latents and masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from torch import Tensor

from simpletuner.assemble.data.survey import Surveyed
from simpletuner.core.batch import Latents
from simpletuner.core.errors import DataError
from simpletuner.core.events import Emit, Notice
from simpletuner.core.samples import Use
from simpletuner.data.cache.crew import FillSettings
from simpletuner.data.cache.decode import first_read
from simpletuner.data.cache.fill import Filled, LatentCache, fill_latents
from simpletuner.data.cache.latents import ImageCodec, LatentStore, steady
from simpletuner.data.cache.masks import MasksOnDemand
from simpletuner.data.cache.ondemand import LatentsOnDemand
from simpletuner.data.cache.store import TensorStore
from simpletuner.data.cache.tokens import Caption
from simpletuner.data.entries import Entry, PictureError
from simpletuner.data.files.digests import Digests
from simpletuner.data.places.arrange import Arrangement
from simpletuner.training import draws

# How far the shape of a strict reference may be from that of its picture.
_TOLERANCE = 0.01
_NAMED = 5


class Prepared:
    """``surveyed`` with its cache. The latents of an epoch are made when it begins, unless they are on demand."""

    def __init__(
        self, surveyed: Surveyed, digests: Digests, codec: ImageCodec, how: FillSettings, masks: MasksOnDemand | None
    ) -> None:
        config = surveyed.config
        store = TensorStore(Path(config.cache_dir_vae))
        self.surveyed = surveyed
        self.config = config
        self.cache = LatentCache(surveyed.source, digests, store, codec)
        self.latents_in = LatentStore(store, codec.fingerprint())
        self._how = how
        self.masks = masks
        alike = steady(codec, how.batch_size, how.threads)
        self._latents = LatentsOnDemand(surveyed.source, digests, store, alike, keep=not config.vae_cache_disable)
        # Of the epoch that is trained, and of the one before it.
        self.arrangement = lru_cache(maxsize=2)(self._arranged)
        self._users: Sequence[Prepared] = ()
        self._sets: Sequence[Prepared] = ()
        self._together = False
        self._filled: int | None = None

    def _arranged(self, epoch: int) -> Arrangement:
        # What is held out is measured in the same windows throughout, so that its losses compare.
        return self.surveyed.in_epoch(0 if self.config.dataset_type == "eval" else epoch)

    @property
    def on_demand(self) -> bool:
        """Whether latents are made when they are used."""
        return self.config.vae_cache_ondemand or self.config.vae_cache_disable

    def borrow_from(self, users: Sequence[Prepared]) -> None:
        """Take sizes and windows from the pictures of ``users``, to which these belong (`reference_strict`).

        Raises DataError when the shape of one is not that of its picture.
        """
        for user in users:
            _require_shapes(self.surveyed, user.surveyed)
        self._users = tuple(users)

    def refer_to(self, sets: Sequence[Prepared], *, together: bool) -> None:
        """Take input pictures from ``sets``, in their order: from all ``together``, or from one that each use draws."""
        self._sets = tuple(sets)
        self._together = together

    @property
    def reference_sets(self) -> Sequence[Prepared]:
        """The data sets that hold input pictures for these."""
        return self._sets

    @property
    def pictures(self) -> int:
        """How many input pictures stand in each prompt."""
        return len(self._sets) if self._together else min(1, len(self._sets))

    def entries(self, epoch: int) -> Sequence[Entry]:
        """Every latent of an epoch. A strict reference has one for each picture that it belongs to."""
        if not self._users:
            return self.arrangement(epoch).entries
        return [entry for user in self._users for entry in self._borrowed(user, epoch)]

    def places(self, path: str, epoch: int = 0) -> Sequence[Entry]:
        """The latents of one picture in an epoch."""
        if not self._users:
            return [self.arrangement(epoch).entry(self.surveyed.scanned.table.row(path))]
        return [entry for entry in self.entries(epoch) if entry.sample.path == path]

    def _borrowed(self, user: Prepared, epoch: int) -> Iterator[Entry]:
        partners = user.surveyed.partners[self.config.id]
        for theirs in user.arrangement(epoch).entries:
            if partners[theirs.sample.path] in self.surveyed.scanned.table:
                yield self.beside(user, theirs, epoch)

    def beside(self, user: Prepared, theirs: Entry, epoch: int) -> Entry:
        """The reference of a picture of ``user``, at ``theirs``: in that window, or (`reference_loose`) in its own."""
        path = user.surveyed.partners[self.config.id][theirs.sample.path]
        own = self.arrangement(epoch).entry(self.surveyed.scanned.table.row(path))
        return replace(own, placement=theirs.placement, crop=theirs.crop) if self._users else own

    def fill(self, epoch: int, emit: Emit) -> Filled:
        """Make the latents of an epoch (from 0) that are not in the cache."""
        self._filled = epoch
        return fill_latents(self.entries(epoch), self.cache, self._how, emit, self.config.id)

    def go_on_with(self, surveyed: Surveyed) -> None:
        """Use what is left of the data set."""
        self.surveyed = surveyed
        self.arrangement.cache_clear()

    def begin(self, epoch: int, emit: Emit) -> None:
        """Be ready for an epoch whose windows may differ from those before; clear what only the last one used."""
        specs = [made.surveyed.arrangement.spec for made in self._users or (self,)]
        if self.config.vae_cache_disable or not any(spec.epochs_differ for spec in specs):
            return
        # A run that goes back to a checkpoint has filled a later one.
        over = {epoch - 1, epoch - 1 if self._filled is None else self._filled} - {epoch, -1}
        if not self.on_demand:
            self._tell_dropped(self.fill(epoch, emit), epoch, emit)
        for old in over if any(spec.anew for spec in specs) else ():
            self._clear(old, epoch)

    def _tell_dropped(self, filled: Filled, epoch: int, emit: Emit) -> None:
        """Say why latents are missing, before a use of one ends the run."""
        for item in filled.dropped:
            told = f'data set "{self.config.id}", epoch {epoch + 1}: no latent of {item.file}: {item.reason}'
            emit(Notice(f"{told} ({item.cure})", level="warning"))

    def _clear(self, old: int, epoch: int) -> None:
        """Remove what the epoch ``old`` used and ``epoch`` does not."""
        for key in self.keys(old) - self.keys(epoch):
            self.cache.store.remove(key)
        if self.masks is not None:
            before, now = (self.masks.keys(self.arrangement(number).entries) for number in (old, epoch))
            self.masks.remove(before - now)

    def keys(self, epoch: int) -> frozenset[str]:
        """The cache keys of an epoch's latents, of pictures whose bytes have been read."""
        known = ((entry, self.cache.digests.get(entry.sample.path)) for entry in self.entries(epoch))
        return frozenset(self.latents_in.key(entry, digest) for entry, digest in known if digest is not None)

    def read_all(self) -> None:
        """Know the digest of every picture; one that cannot be read stays unknown."""
        for path in self.surveyed.scanned.table.paths:
            with suppress(PictureError):
                first_read(self.cache.source, self.cache.digests, path)

    def latents(self, use: Use) -> Latents:
        """The posterior of one use, (C, h, w)."""
        return self._latents(self._entry(use))

    def references(self, use: Use) -> Sequence[Latents]:
        """The posteriors of the input pictures of one use, (C, h, w) each."""
        if not self._sets:
            return ()
        theirs = self._entry(use)
        return [made.latents_beside(self, theirs, use.epoch) for made in self._taken(use)]

    def _taken(self, use: Use) -> Sequence[Prepared]:
        """The data sets that one use takes its input pictures from."""
        if self._together or len(self._sets) == 1:
            return self._sets
        return (self._sets[draws.reference_set(self.surveyed.around.seed, use, len(self._sets))],)

    def latents_beside(self, user: Prepared, theirs: Entry, epoch: int) -> Latents:
        """The posterior of the reference of a picture of ``user``, (C, h, w)."""
        return self._latents(self.beside(user, theirs, epoch))

    def mask(self, use: Use) -> Tensor | None:
        """The weight of each latent cell of one use, (1, h, w) in [0, 1]; None without a mask."""
        return self.masks(self._entry(use)) if self.masks is not None else None

    def captions(self, use: Use) -> Sequence[str]:
        """The candidate captions of one use."""
        table = self.surveyed.scanned.table
        return table.captions[table.row(use.sample.path)]

    def all_captions(self) -> Sequence[Caption]:
        """Every candidate caption of every picture, with the number of its input pictures."""
        candidates = self.surveyed.scanned.table.captions
        return [Caption(text, self.pictures) for texts in candidates for text in texts]

    def _entry(self, use: Use) -> Entry:
        return self.arrangement(use.epoch).entry(self.surveyed.scanned.table.row(use.sample.path))


def _require_shapes(references: Surveyed, user: Surveyed) -> None:
    """Scaled to the size of another shape, a reference would lie askew on its picture."""
    table, theirs = references.scanned.table, user.scanned.table
    partners = user.partners[references.config.id]
    wrong = []
    for row, path in enumerate(theirs.paths):
        other = table.row(partners[path])
        shapes = [int(found.widths[at]) / int(found.heights[at]) for found, at in ((theirs, row), (table, other))]
        if abs(shapes[1] / shapes[0] - 1) > _TOLERANCE:
            wrong.append(partners[path])
    if wrong:
        named = ", ".join(wrong[:_NAMED]) + (f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else "")
        raise DataError(
            f'{len(wrong)} pictures have another shape than their pictures in data set "{user.config.id}": {named}',
            file=references.scanned.where,
            key=references.config.id,
            cure="save each at the shape of its picture, or use conditioning_type reference_loose",
        )
