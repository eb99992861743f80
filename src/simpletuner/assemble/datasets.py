"""The data of a run: surveyed, cached, planned, reported."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from torch import Tensor

from simpletuner.assemble.caching import Cacher, learn
from simpletuner.assemble.deletion import delete_dropped
from simpletuner.assemble.findings import trained_report
from simpletuner.assemble.prepared import Prepared
from simpletuner.assemble.survey import Around, around_of, calendar_of, survey, used_in_training
from simpletuner.config.load import LoadedRun
from simpletuner.core.batch import Latents
from simpletuner.core.errors import ConfigError, DataError
from simpletuner.core.events import Emit, Notice
from simpletuner.core.ranks import Ranks
from simpletuner.core.samples import Update, Use
from simpletuner.data.cache.store import TensorStore
from simpletuner.data.cache.tokens import fill_tokens, read_or_tokenize
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
    """All data sets that are trained on."""

    def __init__(
        self,
        datasets: Sequence[Prepared],
        calendar: Calendar,
        tokens: Callable[[str], Tensor],
        ranks: Ranks,
        emit: Emit,
    ) -> None:
        self.tokens = tokens
        self.calendar = calendar
        self._datasets = {dataset.config.id: dataset for dataset in datasets}
        self._ranks = ranks
        self._emit = emit
        self._begun: int | None = None

    @property
    def resolution(self) -> str:
        """``WxH`` of the largest size that most pictures of a data set have."""
        usual = [made.arrangement(0).usual_size for made in self._datasets.values()]
        return str(max(usual, key=lambda size: size.width * size.height))

    @property
    def digest(self) -> str:
        """Stands for everything that the order of an epoch is made of: samples, buckets, repeats, batches."""
        digest = hashlib.sha256()
        for made in self._datasets.values():
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
            for dataset in self._datasets.values():
                dataset.begin(epoch, self._emit)
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

    def captions(self, use: Use) -> Sequence[str]:
        """The candidate captions of a use."""
        return self._datasets[use.sample.dataset].captions(use)

    def is_prior(self, dataset: str) -> bool:
        """Whether the data set keeps what the model knows instead of teaching it."""
        return self._datasets[dataset].config.is_regularisation_data

    def close(self) -> None:
        """Note the digests that were learned while training, so that the next start reads less."""
        for dataset in self._datasets.values():
            learn(dataset, dataset.cache.digests.learned, self._ranks)


def prepare_data(
    loaded: LoadedRun, sources: Sources, ranks: Ranks, emit: Emit, *, delete: bool = False
) -> TrainingData:
    """Survey, cache and plan every data set that is trained on, and write ``report.json``.

    ``delete`` lets keys that ask for it delete files that cannot be used. Raises DataError when a data set has no
    usable picture.
    """
    require_trainable(loaded)
    around = around_of(loaded, sources.seed, sources.maximum_edge, ranks)
    cacher = Cacher(sources.codec, loaded.config.data, ranks, emit)
    everything = _cached(loaded, around, cacher, emit)
    prepared = [made for made in everything if made.config.dataset_type == "image"]
    if ranks.is_first:
        _report(loaded, prepared, emit)
        others = [made.surveyed for made in everything]
        unseen = [dataset for dataset in loaded.datasets if dataset not in used_in_training(loaded.datasets)]
        for made in prepared:
            delete_dropped(made.surveyed, emit, allowed=delete, others=others, unseen=unseen)
    tokens = token_reader(prepared, sources.text, loaded.text_cache, emit)
    return TrainingData(prepared, calendar_of([made.surveyed for made in prepared], around), tokens, ranks, emit)


def _cached(loaded: LoadedRun, around: Around, cacher: Cacher, emit: Emit) -> list[Prepared]:
    """The data sets that are trained on, cached, and those they refer to. The report tells of one that fails."""
    try:
        prepared = cacher.prepare(survey(used_in_training(loaded.datasets), around, emit))
        for made in prepared.values():
            if made.config.dataset_type == "image" and not made.on_demand:
                cacher.fill(made)
    except DataError as error:
        if cacher.ranks.is_first:
            _report_failure(loaded, error)
        raise
    return list(prepared.values())


def _report_failure(loaded: LoadedRun, error: DataError) -> None:
    where = str(error.file or "")
    failed = [
        failed_report(dataset.id, dataset.dataset_type, where, error)
        for dataset in loaded.datasets
        if dataset.id == error.key
    ]
    write_report(Path(loaded.config.report.output_dir) / "report.json", Report(tuple(failed), (str(error),)))


def require_trainable(loaded: LoadedRun) -> None:
    """Reference pictures are scanned, paired and cached, but no objective of this version takes them."""
    for dataset in used_in_training(loaded.datasets):
        if dataset.conditioning_type in ("reference_strict", "reference_loose"):
            raise ConfigError(
                f"{dataset.id}: training with reference pictures is not available in this version; "
                "`simpletuner check` and `simpletuner cache` take them",
                file=loaded.dataloader_file,
                key="conditioning_type",
                cure="take the data set out of conditioning_data, or disable it",
            )


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


def token_reader(prepared: Sequence[Prepared], text: TextReader, folder: Path, emit: Emit) -> Callable[[str], Tensor]:
    """Make the token ids of every caption, and a reader of them."""
    store = TensorStore(folder)

    def tokenize(caption: str) -> list[int]:
        ids: list[int] = text.tokenize(caption).tolist()
        return ids

    texts = (caption for dataset in prepared for caption in dataset.all_captions())
    keys = fill_tokens(texts, store, tokenize, text.fingerprint(), emit)

    @cache
    def read(caption: str) -> Tensor:
        return read_or_tokenize(store, keys[caption], caption, tokenize)

    return read
