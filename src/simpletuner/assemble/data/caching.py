"""Data sets with their caches: every latent and mask of the epoch that a run begins with, made by all processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from simpletuner.assemble.data.prepared import Prepared
from simpletuner.assemble.data.scanning import index_file, index_path
from simpletuner.assemble.data.survey import Surveyed
from simpletuner.config.datasets.conditioning_rules import MASKS, REFERENCES
from simpletuner.config.sections.data import DataConfig
from simpletuner.core.events import Emit, StageProgress
from simpletuner.core.ranks import Ranks
from simpletuner.data.cache.crew import FillSettings
from simpletuner.data.cache.latents import ImageCodec
from simpletuner.data.cache.masks import MaskKind, MasksOnDemand
from simpletuner.data.cache.store import TensorStore
from simpletuner.data.entries import Dropped, PictureError
from simpletuner.data.files.damage import damage_of
from simpletuner.data.files.digests import Digests
from simpletuner.data.files.index import open_index
from simpletuner.data.files.snapshot import Share, share_all
from simpletuner.models.family import Codec

# More threads than this only wait for each other: decoding is what they do.
_THREADS = 8


@dataclass(frozen=True)
class Cacher:
    """What makes caches: the codec, the options that say how, and the processes that share the work.

    ``made`` makes a data set with its cache of what :class:`Prepared` is made of. ``epoch`` (from 0) is the one that
    the run begins or goes on with: the windows of others are of no use to it.
    """

    codec: Codec
    options: DataConfig
    ranks: Ranks
    emit: Emit
    made: Callable[[Surveyed, Digests, ImageCodec, FillSettings, MasksOnDemand | None], Prepared] = Prepared
    epoch: int = 0

    def prepare(self, surveyed: Mapping[str, Surveyed]) -> dict[str, Prepared]:
        """Each data set with what its cache needs; nothing is made yet.

        Raises DataError when a strict reference has another shape than its picture.
        """
        digests = {name: Digests(found.scanned.table.digests) for name, found in surveyed.items()}
        prepared = {name: self._prepared(found, surveyed, digests) for name, found in surveyed.items()}
        for name, made in prepared.items():
            if made.config.conditioning_type == "reference_strict":
                made.borrow_from([user for user in prepared.values() if name in user.config.conditioning_data])
            named = [prepared[other] for other in made.config.conditioning_data]
            sets = [other for other in named if other.config.conditioning_type in REFERENCES]
            made.refer_to(sets, together=self.options.conditioning_multidataset_sampling == "combined")
        return prepared

    def _prepared(self, found: Surveyed, others: Mapping[str, Surveyed], digests: Mapping[str, Digests]) -> Prepared:
        how = FillSettings(
            batch_size=self.options.vae_batch_size,
            read_ahead=self.options.read_batch_size,
            workers=min(self.options.max_workers, _THREADS),
            threads=self.codec.threads(),
            ranks=self.ranks.count,
            rank=self.ranks.rank,
        )
        masks = _masks(found, others, digests)
        return self.made(found, digests[found.config.id], self.codec, how, masks)

    def fill(self, prepared: Prepared) -> Share:
        """Make the latents and masks of ``epoch``; what cannot be decoded is dropped from the data set.

        What every process did is told to all of them. Raises DataError when no picture is left, ToldError when another
        process failed.
        """
        folder, name = Path(prepared.config.cache_dir_vae), prepared.config.id
        share = together(share_all(folder, self.ranks, name, lambda: self._filled(prepared)))
        learn(prepared, share.learned, self.ranks, share.dropped)
        _learn_masks(prepared, share.dropped, self.ranks)
        _leave_out(prepared, share.dropped)
        return share

    def _filled(self, prepared: Prepared) -> Share:
        """The share of this process."""
        filled = prepared.fill(self.epoch, self.emit)
        dropped = (*filled.dropped, *self._fill_masks(prepared, {item.file for item in filled.dropped}))
        return Share(prepared.cache.digests.learned, dropped, filled.encoded, filled.reused)

    def _fill_masks(self, prepared: Prepared, gone: set[str]) -> list[Dropped]:
        """Every mask once, so that one that cannot be used is known before training. Each process does its own."""
        entries = prepared.arrangement(self.epoch).entries
        dropped: list[Dropped] = []
        if prepared.masks is None or prepared.config.vae_cache_disable:
            return dropped
        for place in range(self.ranks.rank, len(entries), self.ranks.count):
            entry = entries[place]
            try:
                if entry.sample.path not in gone:
                    prepared.masks(entry)
            except PictureError as error:
                dropped.append(_unmasked(entry.sample.path, error))
            self.emit(StageProgress("init_vae_cache", f"masks ({prepared.config.id})", place + 1, len(entries)))
        return dropped


def together(shares: Sequence[Share]) -> Share:
    """Several shares as one."""
    return Share(
        learned={path: fact for share in shares for path, fact in share.learned.items()},
        dropped=tuple(sorted((item for share in shares for item in share.dropped), key=lambda item: item.file)),
        encoded=sum(share.encoded for share in shares),
        reused=sum(share.reused for share in shares),
    )


def learn(
    prepared: Prepared, learned: Mapping[str, tuple[str, str]], ranks: Ranks, dropped: Sequence[Dropped] = ()
) -> None:
    """Note digests, and what of ``dropped`` is damaged, for the next start. Rank 0 alone opens the index."""
    prepared.cache.digests.add(learned)
    if ranks.is_first and (learned or dropped):
        with open_index(index_path(prepared.config)) as index:
            index.learn_digests(learned)
            index.learn_damage(damage_of(prepared.cache.source, dropped))


def _learn_masks(prepared: Prepared, dropped: Sequence[Dropped], ranks: Ranks) -> None:
    """Note which masks are damaged: the next start drops them unread, and with them their pictures."""
    damaged = (item.file for item in dropped if item.cause == "partner")
    found = prepared.masks.damage(damaged) if prepared.masks and ranks.is_first else {}
    if prepared.masks and found:
        references = {made.config.id for made in prepared.reference_sets}
        name = next(name for name in prepared.config.conditioning_data if name not in references)
        with open_index(index_file(prepared.masks.folder, name)) as index:
            index.learn_damage(found)


def _leave_out(prepared: Prepared, dropped: Sequence[Dropped]) -> None:
    paths = frozenset(item.file for item in dropped)
    prepared.go_on_with(prepared.surveyed.without(dropped, paths))


def _unmasked(path: str, error: PictureError) -> Dropped:
    """A picture that is left out for its mask; nothing is wrong with its own file."""
    dropped = error.dropped(path)
    return replace(dropped, reason=f"its mask {error.file}: {dropped.reason}", cause="partner")


def _masks(found: Surveyed, others: Mapping[str, Surveyed], digests: Mapping[str, Digests]) -> MasksOnDemand | None:
    """The reader of a data set's masks, or None when it has none."""
    named = [name for name in found.config.conditioning_data if others[name].config.conditioning_type in MASKS]
    if not named:
        return None
    masks = others[named[0]]
    kind = MaskKind(binary=masks.config.conditioning_type == "segmentation", keep=not found.config.vae_cache_disable)
    store = TensorStore(Path(masks.config.cache_dir_vae))
    return MasksOnDemand(masks.source, digests[named[0]], store, found.partners[named[0]], kind)
