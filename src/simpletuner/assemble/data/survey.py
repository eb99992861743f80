"""The data sets of a run without torch: scanned, paired, arranged and counted. Training and `check` both begin here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from simpletuner.assemble.data.scanning import index_path, scan_indexed
from simpletuner.config.datasets.dataset import DatasetConfig
from simpletuner.config.load import LoadedRun
from simpletuner.config.sections.data import DataConfig
from simpletuner.core.events import Emit, Notice
from simpletuner.core.ranks import ALONE, Ranks
from simpletuner.data.entries import Dropped, NoPicturesError
from simpletuner.data.files.damage import require_few_unreadable
from simpletuner.data.files.pairs import Paired, pair
from simpletuner.data.files.scan import ScannedDataset
from simpletuner.data.files.snapshot import scan_once
from simpletuner.data.order.calendar import Calendar
from simpletuner.data.order.plan import PlannedDataset
from simpletuner.data.order.shortages import pruned_picture
from simpletuner.data.places.arrange import Arrangement, arrange
from simpletuner.data.places.buckets import prune
from simpletuner.data.sources.base import Source
from simpletuner.data.sources.open import open_source
from simpletuner.data.specs import arrange_spec, planned_dataset, scan_spec, source_spec, table_spec


@dataclass(frozen=True)
class Around:
    """What a survey needs beside the data sets: the global options, where resolution maps may lie, the seed of crops,
    the longest edge in pixels that the model takes, gradient accumulation, and the processes.
    """

    options: DataConfig
    output_dir: Path
    seed: int
    maximum_edge: int
    accumulation: int = 1
    ranks: Ranks = ALONE


@dataclass(frozen=True, eq=False)
class Surveyed:
    """One data set as it stands before any picture is decoded.

    ``partners`` maps the id of each of its conditioning data sets to the partner of each picture. ``later`` are
    pictures that were dropped after the scan.
    """

    config: DatasetConfig
    source: Source
    scanned: ScannedDataset
    arrangement: Arrangement
    around: Around
    partners: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    later: tuple[Dropped, ...] = ()

    def in_epoch(self, epoch: int) -> Arrangement:
        """The places of its pictures in ``epoch`` (from 0)."""
        spec = self.arrangement.spec
        if epoch == self.arrangement.epoch or not spec.epochs_differ:
            return self.arrangement
        return arrange(self.scanned.table, spec, seed=self.around.seed, epoch=epoch)

    def planned(self, epoch: int = 0) -> PlannedDataset:
        """What the plan of an epoch needs of it."""
        slices = self.around.accumulation * self.around.ranks.count
        return planned_dataset(self.config, self.around.options, self.in_epoch(epoch).buckets, slices)

    def without(self, dropped: Sequence[Dropped], paths: frozenset[str]) -> Surveyed:
        """The data set without ``paths``, for the reasons told in ``dropped``.

        Raises NoPicturesError when all are, or too many cannot be read.
        """
        if not paths:
            return self
        if len(paths) == len(self.scanned.table):
            raise self._nothing_left(dropped)
        table = self.scanned.table.without(paths)
        made = arrange(table, self.arrangement.spec, seed=self.around.seed, epoch=self.arrangement.epoch)
        scanned = replace(self.scanned, table=table)
        return replace(self, scanned=scanned, arrangement=made, later=(*self.later, *dropped)).sound_enough()

    def sound_enough(self) -> Surveyed:
        """The same. Raises NoPicturesError when more pictures cannot be read than the data set allows."""
        dropped, most = (*self.scanned.dropped, *self.later), self.config.maximum_unreadable_percent
        used, where = len(self.scanned.table), self.scanned.where
        require_few_unreadable(dropped, used, most, dataset=self.config.id, where=where)
        return self

    def _nothing_left(self, dropped: Sequence[Dropped]) -> NoPicturesError:
        reasons = "; ".join(f"{item.file}: {item.reason}" for item in dropped[:5])
        return NoPicturesError(
            (*self.scanned.dropped, *self.later, *dropped),
            f"no images detected in dataset: none of the last {len(dropped)} pictures can be used ({reasons})",
            file=self.scanned.where,
            key=self.config.id,
            cure=dropped[0].cure,
        )


def survey(datasets: Sequence[DatasetConfig], around: Around, emit: Emit) -> dict[str, Surveyed]:
    """Survey data sets, by id; ``datasets`` holds every conditioning data set that another of them refers to.

    Raises:
        ConfigError: a source does not exist, or a resolution map is wrong.
        DataError: a data set has no usable picture, a picture lacks its partner, or an index cannot be used.
        ToldError: rank 0 has raised one of these.
    """
    alone = {dataset.id: _surveyed(dataset, around, emit) for dataset in datasets}
    return {name: paired(found, alone) for name, found in alone.items()}


def _surveyed(dataset: DatasetConfig, around: Around, emit: Emit) -> Surveyed:
    @cache
    def source() -> Source:
        return open_source(source_spec(dataset, around.options), table_spec(dataset))

    spec = scan_spec(dataset, around.seed, around.maximum_edge, around.output_dir)
    # A mistake in the source is told by rank 0 too: the others open it afterwards.
    scanned = scan_once(
        Path(dataset.cache_dir_vae),
        around.ranks,
        spec.captions,
        dataset.id,
        lambda: scan_indexed(spec, source(), index_path(dataset), emit),
    )
    for note in (*scanned.notes, *(f'data set "{dataset.id}": {line}' for line in scanned.changes.lines())):
        emit(Notice(note))
    for warning in scanned.warnings:
        emit(Notice(warning, level="warning"))
    slices = around.accumulation * around.ranks.count
    places = arrange_spec(dataset, around.options, spec, slices)
    made = arrange(scanned.table, places, seed=around.seed, epoch=0)
    found = Surveyed(dataset, source(), scanned, made, around).sound_enough()
    return _pruned(found) if around.options.disable_bucket_pruning is False else found


def _pruned(found: Surveyed) -> Surveyed:
    """Without the buckets that cannot fill one micro-batch, as the user asked; every picture is named.

    Raises DataError when none is left.
    """
    config = found.config
    if config.dataset_type != "image" or config.bucket_mixing == "pad":
        return found
    buckets = found.arrangement.buckets
    small = prune(found.arrangement.counts, config.repeats, config.train_batch_size)
    dropped = [
        pruned_picture(
            sample.path, key, len(buckets[key]), config.repeats, config.train_batch_size, alone=len(buckets) == 1
        )
        for key in small
        for sample in buckets[key]
    ]
    return found.without(dropped, frozenset(item.file for item in dropped))


def paired(found: Surveyed, others: Mapping[str, Surveyed]) -> Surveyed:
    """``found`` with the partner of each picture; those whose partner was dropped are left out.

    ``others`` holds its conditioning data sets. Raises DataError when a picture has no partner at all, or none is left.
    """
    made = {name: _paired(found, others[name]) for name in found.config.conditioning_data}
    gone = {path: item for found in made.values() for path, item in found.left_out.items()}
    partners = {
        name: {path: partner for path, partner in found.partners.items() if path not in gone}
        for name, found in made.items()
    }
    return replace(found.without(tuple(gone.values()), frozenset(gone)), partners=partners)


def _paired(found: Surveyed, other: Surveyed) -> Paired:
    return pair(
        found.scanned.table.paths,
        other.scanned.table.paths,
        (*other.scanned.dropped, *other.later),
        dataset=found.config.id,
        partner=other.config.id,
        limit=other.config.max_num_samples,
    )


def around_of(loaded: LoadedRun, seed: int, maximum_edge: int, ranks: Ranks = ALONE) -> Around:
    """What a survey of a loaded run needs."""
    config = loaded.config
    return Around(
        options=config.data,
        output_dir=Path(config.report.output_dir),
        seed=seed,
        maximum_edge=maximum_edge,
        accumulation=config.length.gradient_accumulation_steps,
        ranks=ranks,
    )


def calendar_of(trained: Sequence[Surveyed], around: Around) -> Calendar:
    """Where epochs begin. They are counted one by one only where shapes are drawn anew in each."""

    def in_epoch(epoch: int) -> Sequence[PlannedDataset]:
        return [found.planned(epoch) for found in trained]

    specs = [found.arrangement.spec for found in trained]
    differ = any(spec.redraw and spec.draws_aspects for spec in specs)
    sampling = around.options.data_backend_sampling
    return Calendar(in_epoch(0), around.seed, sampling, in_epoch if differ else None)


def used_in_training(datasets: Sequence[DatasetConfig], *, evaluates: bool = False) -> tuple[DatasetConfig, ...]:
    """The data sets that are trained on, those held out where the run ``evaluates``, and those that they refer to."""
    trained = [dataset for dataset in datasets if dataset.dataset_type == "image" and dataset.probability > 0]
    held_out = [dataset for dataset in datasets if evaluates and dataset.dataset_type == "eval"]
    wanted = {name for dataset in (*trained, *held_out) for name in dataset.conditioning_data}
    return (*trained, *held_out, *(dataset for dataset in datasets if dataset.id in wanted))
