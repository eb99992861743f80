"""The data of a run: scanned, cached, planned, reported."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from torch import Tensor

from simpletuner.config.dataset import DatasetConfig
from simpletuner.config.load import LoadedRun
from simpletuner.core.batch import Latents
from simpletuner.core.errors import DataError
from simpletuner.core.events import Emit, Notice
from simpletuner.core.samples import SampleId, Update, Use
from simpletuner.data.buckets import Buckets, group, short_bucket_notes
from simpletuner.data.cache import TensorStore
from simpletuner.data.entries import Dropped, Entry, ScannedDataset
from simpletuner.data.fill import LatentIndex, fill_latents
from simpletuner.data.geometry import Size
from simpletuner.data.ondemand import LatentsOnDemand
from simpletuner.data.plan import PlannedDataset, batches, plan_epoch, updates_per_epoch
from simpletuner.data.report import DatasetReport, dataset_report, write_report
from simpletuner.data.scan import scan
from simpletuner.data.slices import micro_batches
from simpletuner.data.sources import FolderSource
from simpletuner.data.specs import planned_dataset, scan_spec
from simpletuner.data.tokens import fill_tokens, read_or_tokenize
from simpletuner.models.family import Codec, TextReader

ReadLatents = Callable[[SampleId], Latents]


@dataclass(frozen=True)
class Sources:
    """What data is made with: the codec, the tokenizer, the seed of crops, and the longest edge the model takes."""

    codec: Codec
    text: TextReader
    seed: int
    maximum_edge: int


@dataclass(frozen=True)
class Prepared:
    """One data set, ready: its plan, its captions, and a reader of its latents."""

    config: DatasetConfig
    planned: PlannedDataset
    captions: Mapping[SampleId, Sequence[str]]
    latents: ReadLatents
    report: DatasetReport
    resolution: Size
    finish: Callable[[], None]


@dataclass(frozen=True)
class TrainingData:
    """All data sets of a run."""

    datasets: tuple[Prepared, ...]
    tokens: Callable[[str], Tensor]
    ranks: int
    rank: int

    @property
    def updates_per_epoch(self) -> int:
        """The weight updates of one pass over everything, repeats included."""
        return updates_per_epoch(self._planned)

    @property
    def resolution(self) -> str:
        """``WxH`` of the largest size that most pictures of a data set have."""
        sizes = [made.resolution for made in self.datasets]
        largest = max(sizes, key=lambda size: size.width * size.height)
        return f"{largest.width}x{largest.height}"

    @property
    def digest(self) -> str:
        """Stands for everything that the order of an epoch is made of: samples, buckets, repeats, batches."""
        parts = [(made.id, sorted(made.buckets.items()), made.repeats, made.batch) for made in self._planned]
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    @property
    def _planned(self) -> list[PlannedDataset]:
        return [dataset.planned for dataset in self.datasets]

    @property
    def captions(self) -> dict[SampleId, Sequence[str]]:
        """The candidate captions of every sample."""
        return {sample: texts for dataset in self.datasets for sample, texts in dataset.captions.items()}

    def plan(self, seed: int, epoch: int) -> Sequence[Update]:
        """The updates of an epoch."""
        return plan_epoch(self._planned, seed, epoch)

    def slices(self, update: Update) -> Sequence[Sequence[Use]]:
        """This rank's micro-batches of an update."""
        size = self._by_id(update.dataset).config.train_batch_size
        return micro_batches(update, size, self.ranks, self.rank)

    def latents(self, sample: SampleId) -> Latents:
        """A sample's posterior."""
        return self._by_id(sample.dataset).latents(sample)

    def is_prior(self, dataset: str) -> bool:
        """Whether the data set keeps what the model knows instead of teaching it."""
        return self._by_id(dataset).config.is_regularisation_data

    def close(self) -> None:
        """Write out what on-demand readers remember."""
        for dataset in self.datasets:
            dataset.finish()

    def _by_id(self, name: str) -> Prepared:
        return next(dataset for dataset in self.datasets if dataset.config.id == name)


def prepare_data(loaded: LoadedRun, sources: Sources, ranks: int, rank: int, emit: Emit) -> TrainingData:
    """Scan, cache and plan every data set that is trained on, and write ``report.json``.

    Raises DataError when a data set has no usable picture.
    """
    wanted = [dataset for dataset in loaded.datasets if dataset.dataset_type == "image" and dataset.probability > 0]
    accumulation = loaded.config.length.gradient_accumulation_steps
    prepared = tuple(
        _prepare(dataset, sources, loaded.config.data.vae_batch_size, accumulation * ranks, emit) for dataset in wanted
    )
    _tell(prepared, emit)
    write_report(Path(loaded.config.report.output_dir) / "report.json", [dataset.report for dataset in prepared])
    return TrainingData(prepared, _token_reader(prepared, sources.text, loaded.text_cache, emit), ranks, rank)


def _prepare(dataset: DatasetConfig, sources: Sources, vae_batch: int, slices: int, emit: Emit) -> Prepared:
    scanned = scan(scan_spec(dataset, sources.maximum_edge), seed=sources.seed, emit=emit)
    source, store = FolderSource.at(scanned.folder), TensorStore(Path(dataset.cache_dir_vae))
    for note in scanned.notes:
        emit(Notice(note, level="warning"))
    # Also after filling the cache: an entry that is damaged or removed meanwhile is encoded again.
    reader = LatentsOnDemand(scanned.entries, source, store, sources.codec, keep=not dataset.vae_cache_disable)
    if dataset.vae_cache_ondemand or dataset.vae_cache_disable:
        return _assembled(dataset, scanned, scanned.entries, reader, slices)
    index = fill_latents(scanned, source, store, sources.codec, vae_batch, emit)
    kept = tuple(entry for entry in scanned.entries if entry.sample in index.keys)
    if not kept:
        raise _nothing_left(dataset, index)
    return _assembled(dataset, scanned, kept, reader, slices, index.dropped)


def _assembled(
    dataset: DatasetConfig,
    scanned: ScannedDataset,
    entries: Sequence[Entry],
    reader: LatentsOnDemand,
    slices: int,
    dropped: Sequence[Dropped] = (),
) -> Prepared:
    buckets: Buckets = group(entries)
    planned = planned_dataset(dataset, buckets, accumulation=slices, ranks=1)
    return Prepared(
        config=dataset,
        planned=planned,
        captions={entry.sample: entry.captions for entry in entries},
        latents=reader,
        report=dataset_report(scanned, buckets, batches(planned), dropped),
        resolution=Counter(entry.placement.target for entry in entries).most_common(1)[0][0],
        finish=reader.close,
    )


def _nothing_left(dataset: DatasetConfig, index: LatentIndex) -> DataError:
    reasons = "; ".join(f"{item.file}: {item.reason}" for item in index.dropped[:5])
    return DataError(
        f"no images detected in dataset: all {len(index.dropped)} pictures failed to decode ({reasons})",
        file=dataset.instance_data_dir,
        key=dataset.id,
        cure="replace the damaged files",
    )


def _tell(prepared: Sequence[Prepared], emit: Emit) -> None:
    for dataset in prepared:
        planned, report = dataset.planned, dataset.report
        sizes = ", ".join(f"{key}: {count}" for key, count in report.buckets.items())
        emit(Notice(f'data set "{report.id}": {report.used} of {report.files} pictures, buckets {{{sizes}}}'))
        for item in report.dropped:
            emit(Notice(f"left out {item.file}: {item.reason} ({item.cure})", level="warning"))
        for note in short_bucket_notes(report.id, planned.buckets, planned.repeats, planned.batch):
            emit(Notice(note))


def _token_reader(prepared: Sequence[Prepared], text: TextReader, folder: Path, emit: Emit) -> Callable[[str], Tensor]:
    store = TensorStore(folder)

    def tokenize(caption: str) -> list[int]:
        ids: list[int] = text.tokenize(caption).tolist()
        return ids

    texts = [caption for dataset in prepared for texts in dataset.captions.values() for caption in texts]
    keys = fill_tokens(texts, store, tokenize, text.fingerprint(), emit)

    @cache
    def read(caption: str) -> Tensor:
        return read_or_tokenize(store, keys[caption], caption, tokenize)

    return read
