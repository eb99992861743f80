"""The data of a run: surveyed, cached, planned, reported."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from torch import Tensor

from simpletuner.assemble.data.caching import Cacher, learn
from simpletuner.assemble.data.deletion import delete_dropped
from simpletuner.assemble.data.findings import trained_report
from simpletuner.assemble.data.prepared import Prepared
from simpletuner.assemble.data.survey import Around, around_of, calendar_of, paired, survey, used_in_training
from simpletuner.config.datasets.conditioning_rules import MASKS
from simpletuner.config.datasets.dataset import DatasetConfig
from simpletuner.config.load import LoadedRun
from simpletuner.core.batch import Latents
from simpletuner.core.errors import DataError
from simpletuner.core.events import Emit, Notice
from simpletuner.core.ranks import Ranks
from simpletuner.core.samples import Update, Use
from simpletuner.data.cache.store import TensorStore
from simpletuner.data.cache.tokens import Caption, fill_tokens, read_or_tokenize
from simpletuner.data.order.calendar import Calendar
from simpletuner.data.order.slices import micro_batches
from simpletuner.data.report.report import Report, failed_report, write_report
from simpletuner.models.family import Codec, TextReader


@dataclass(frozen=True)
class Sources:
    """What data is made with: the codec, the tokenizer, the seed of crops, and the longest edge the model takes."""

    codec: Codec
    text: TextReader
    seed: int
    maximum_edge: int


class TrainingData:
    """All data sets that are trained on, and those that are ``evaluated``."""

    def __init__(
        self,
        datasets: Sequence[Prepared],
        evaluated: Sequence[Prepared],
        calendar: Calendar,
        tokens: Callable[[str, int], Tensor],
        ranks: Ranks,
        emit: Emit,
    ) -> None:
        self.tokens = tokens
        self.calendar = calendar
        self.datasets = tuple(datasets)
        self.evaluated = tuple(evaluated)
        every = (*datasets, *evaluated)
        self._datasets = {dataset.config.id: dataset for dataset in every}
        beside = {made.config.id: made for dataset in every for made in dataset.reference_sets}
        self._read = (*every, *beside.values())
        self._ranks = ranks
        self._emit = emit
        self._begun: int | None = None

    @property
    def resolution(self) -> str:
        """``WxH`` of the largest size that most pictures of a data set have."""
        usual = [made.arrangement(0).usual_size for made in self.datasets]
        return str(max(usual, key=lambda size: size.width * size.height))

    @property
    def digest(self) -> str:
        """Stands for everything that the order of an epoch is made of: samples, buckets, repeats, batches."""
        digest = hashlib.sha256()
        for made in self.datasets:
            planned = made.surveyed.planned()
            digest.update(repr((planned.id, planned.repeats, planned.batch, planned.mixing)).encode())
            for bucket, samples in sorted(planned.buckets.items()):
                digest.update(bucket.encode())
                for sample in samples:
                    digest.update(f"\n{sample.path}".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def plan(self, epoch: int) -> Sequence[Update]:
        """The updates of an epoch, whose latents are made first where its windows differ from those before."""
        if epoch != self._begun:
            for dataset in self._read:
                dataset.begin(epoch, self._emit)
            # Each process makes a share of the latents, and reads those of others.
            self._ranks.wait()
            self._begun = epoch
        return self.calendar.plan(epoch)

    def slices(self, update: Update) -> Sequence[Sequence[Use]]:
        """This rank's micro-batches of an update."""
        size = self._datasets[update.dataset].config.train_batch_size
        return micro_batches(update, size, self._ranks.count, self._ranks.rank)

    def latents(self, use: Use) -> Latents:
        """The posterior of a use, (C, h, w)."""
        return self._datasets[use.sample.dataset].latents(use)

    def masks(self, use: Use) -> Tensor | None:
        """The weights of a use's latent cells, (1, h, w), or None."""
        return self._datasets[use.sample.dataset].mask(use)

    def references(self, use: Use) -> Sequence[Latents]:
        """The posteriors of a use's input pictures, (C, h, w) each."""
        return self._datasets[use.sample.dataset].references(use)

    def captions(self, use: Use) -> Sequence[str]:
        """The candidate captions of a use."""
        return self._datasets[use.sample.dataset].captions(use)

    def is_prior(self, dataset: str) -> bool:
        """Whether the data set keeps what the model knows instead of teaching it."""
        return self._datasets[dataset].config.is_regularisation_data

    def report_untrained(self, told: Mapping[str, str], file: Path) -> None:
        """Say of the data sets in ``told`` that this run never trains on them, and write ``report.json`` anew."""
        if told and self._ranks.is_first:
            every = (*self.datasets, *self.evaluated)
            reports = tuple(trained_report(made.surveyed, never=made.config.id in told) for made in every)
            write_report(file, Report(reports, tuple(told.values())))
            for text in told.values():
                self._emit(Notice(text.replace("\n  ", "; "), level="warning"))

    def close(self) -> None:
        """Note the digests that were learned while training, so that the next start reads less."""
        for dataset in self._read:
            learn(dataset, dataset.cache.digests.learned, self._ranks)


def prepare_data(
    loaded: LoadedRun, sources: Sources, ranks: Ranks, emit: Emit, *, delete: bool = False, epoch: int = 0
) -> TrainingData:
    """Survey, cache and plan every data set that is trained on, and write ``report.json``.

    ``delete`` lets keys that ask for it delete files that cannot be used; ``epoch`` (from 0) is the one that the run
    begins or goes on with. Raises DataError when a data set has no
    usable picture.
    """
    around = around_of(loaded, sources.seed, sources.maximum_edge, ranks)
    cacher = Cacher(sources.codec, loaded.config.data, ranks, emit, epoch=epoch)
    everything = _cached(loaded, around, cacher, emit)
    prepared = [made for made in everything if made.config.dataset_type == "image"]
    held_out = [made for made in everything if made.config.dataset_type == "eval"]
    if ranks.is_first:
        _report(loaded, [*prepared, *held_out], emit)
        others = [made.surveyed for made in everything]
        unseen = [dataset for dataset in loaded.datasets if dataset not in _used(loaded)]
        for made in prepared:
            delete_dropped(made.surveyed, emit, allowed=delete, others=others, unseen=unseen)
    tokens = token_reader([*prepared, *held_out], sources.text, loaded.text_cache, emit)
    calendar = calendar_of([made.surveyed for made in prepared], around)
    return TrainingData(prepared, held_out, calendar, tokens, ranks, emit)


def _cached(loaded: LoadedRun, around: Around, cacher: Cacher, emit: Emit) -> list[Prepared]:
    """The data sets that are trained on, cached, and those they refer to. The report tells of one that fails."""
    try:
        prepared = cacher.prepare(survey(_used(loaded), around, emit))
        # References first: a picture whose reference cannot be decoded is left out.
        for made in sorted(prepared.values(), key=lambda made: made.config.dataset_type != "conditioning"):
            _fill(made, prepared, cacher)
    except DataError as error:
        if cacher.ranks.is_first:
            _report_failure(loaded, error)
        raise
    return list(prepared.values())


def _used(loaded: LoadedRun) -> tuple[DatasetConfig, ...]:
    return used_in_training(loaded.datasets, evaluates=loaded.config.evaluation.wants_loss)


def _fill(made: Prepared, others: Mapping[str, Prepared], cacher: Cacher) -> None:
    if made.reference_sets:
        made.go_on_with(paired(made.surveyed, {name: other.surveyed for name, other in others.items()}))
    if made.config.conditioning_type not in MASKS and not made.on_demand:
        cacher.fill(made)


def _report_failure(loaded: LoadedRun, error: DataError) -> None:
    where = str(error.file or "")
    failed = [
        failed_report(dataset.id, dataset.dataset_type, where, error)
        for dataset in loaded.datasets
        if dataset.id == error.key
    ]
    write_report(Path(loaded.config.report.output_dir) / "report.json", Report(tuple(failed), (str(error),)))


def _report(loaded: LoadedRun, prepared: Sequence[Prepared], emit: Emit) -> None:
    """Write ``report.json`` and tell what is in it."""
    reports = [trained_report(made.surveyed) for made in prepared]
    for report in reports:
        sizes = ", ".join(f"{key}: {count}" for key, count in report.buckets.items())
        emit(Notice(f'data set "{report.id}": {report.used} of {report.files} pictures, buckets {{{sizes}}}'))
        for item in report.dropped:
            emit(Notice(f"left out {item.file}: {item.reason} ({item.cure})", level="warning"))
        for text in (*report.shortages, *report.notes):
            emit(Notice(text))
    write_report(Path(loaded.config.report.output_dir) / "report.json", Report(tuple(reports)))


def token_reader(
    prepared: Sequence[Prepared], text: TextReader, folder: Path, emit: Emit
) -> Callable[[str, int], Tensor]:
    """Make the token ids of every caption, and a reader of them, by caption and number of input pictures.

    Raises DataError when a caption names pictures and not those that it has.
    """
    store = TensorStore(folder)

    def tokenize(caption: str, pictures: int) -> list[int]:
        ids: list[int] = text.tokenize(caption, pictures).tolist()
        return ids

    captions = (caption for dataset in prepared for caption in dataset.all_captions())
    keys = fill_tokens(captions, store, tokenize, text.fingerprint(), emit)

    @cache
    def read(caption: str, pictures: int) -> Tensor:
        known = Caption(caption, pictures)
        return read_or_tokenize(store, keys[known], known, tokenize)

    return read
