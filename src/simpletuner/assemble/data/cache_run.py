"""`simpletuner cache`: fill the caches and stop, remove what no data set uses, say why an entry is (not) used."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from simpletuner.assemble.data.caching import Cacher
from simpletuner.assemble.data.datasets import token_reader
from simpletuner.assemble.data.prepared import Prepared
from simpletuner.assemble.data.survey import Surveyed, around_of, survey
from simpletuner.assemble.mishaps import mishaps_named
from simpletuner.assemble.parts import load_codec
from simpletuner.assemble.stage import Stage, draws_seed, pinned, ranks_of, set_stage
from simpletuner.assemble.stopping import Stopping
from simpletuner.assemble.training.next_start import first_epoch, next_checkpoint
from simpletuner.assemble.training.output import choose_checkpoint
from simpletuner.assemble.training.resume import saved_commit, saved_seed
from simpletuner.config.datasets.conditioning_rules import MASKS
from simpletuner.config.datasets.dataset import DatasetConfig
from simpletuner.config.load import LoadedRun
from simpletuner.core.errors import ConfigError, ToldError
from simpletuner.core.events import Emit, Notice
from simpletuner.data.cache.explain import explain_entry, explain_picture, plain_path
from simpletuner.data.cache.prune import prune
from simpletuner.data.cache.store import TensorStore
from simpletuner.models.family import TextReader


@dataclass(frozen=True)
class Caches:
    """Every data set of a run with its cache, and what makes them."""

    stage: Stage
    cacher: Cacher
    prepared: Mapping[str, Prepared]
    text: TextReader


def open_caches(loaded: LoadedRun, emit: Emit, stopping: Stopping) -> Caches:
    """Survey every data set, those for evaluation and those of masks too. Loads the VAE and the tokenizer."""
    stage = set_stage(loaded, _saved_seed(loaded, emit), emit)
    stage = replace(stage, emit=stopping.ear(stage.emit))
    emit = stage.emit
    ranks = ranks_of(stage.processes)
    around = around_of(loaded, stage.seed, stage.family.facts.longest_edge, ranks)
    with stopping.anywhere():
        stage = pinned(stage, saved_commit(next_checkpoint(loaded)))
        weights = stage.weights
        cacher = Cacher(load_codec(stage, weights.origin), loaded.config.data, ranks, emit)
        text = stage.family.load_text(weights.origin, builtin_negative=weights.builtin_negative)
    surveyed = survey(loaded.datasets, around, emit)
    cacher = replace(cacher, epoch=_epoch(loaded, surveyed))
    return Caches(stage, cacher, cacher.prepare(surveyed), text)


def _epoch(loaded: LoadedRun, surveyed: Mapping[str, Surveyed]) -> int:
    """The epoch (from 0) that the next `train` begins or goes on with, where its windows are not those of the first."""
    differ = any(found.arrangement.spec.epochs_differ for found in surveyed.values())
    return first_epoch(loaded.config.length, next_checkpoint(loaded)) if differ else 0


def _saved_seed(loaded: LoadedRun, emit: Emit) -> int | None:
    """The seed that the run will go on with, where it was drawn: what is cached for another is of no use."""
    if not draws_seed(loaded):
        return None
    return saved_seed(choose_checkpoint(Path(loaded.config.report.output_dir), "latest", emit))


def fill(loaded: LoadedRun, emit: Emit) -> None:
    """Make every latent and mask of the epoch that `train` begins or goes on with, and every caption.

    Processes that torchrun started share the work. Raises Interrupted or Terminated between two batches when a signal
    came; what was made is kept.
    """
    stopping = Stopping()
    try:
        with stopping.listening(), mishaps_named(loaded.config):
            _fill(open_caches(loaded, emit, stopping))
            stopping.check()
    except ToldError as error:
        # The process that it came from says why.
        raise SystemExit(error.exit_code) from error


def _fill(caches: Caches) -> None:
    emit = caches.stage.emit
    for made in caches.prepared.values():
        if made.config.conditioning_type not in MASKS:
            emit(Notice(f'data set "{made.config.id}": {_filled(caches.cacher, made)}'))
    if caches.cacher.ranks.is_first:
        token_reader(_captioned(caches), caches.text, caches.stage.loaded.text_cache, emit)


def _filled(cacher: Cacher, made: Prepared) -> str:
    """Make what one data set needs; what was done."""
    if made.config.vae_cache_disable:
        return "nothing is kept (vae_cache_disable)"
    share = cacher.fill(made)
    for item in share.dropped:
        cacher.emit(Notice(f"left out {item.file}: {item.reason} ({item.cure})", level="warning"))
    return f"{share.encoded} made, {share.reused} there already, {len(share.dropped)} left out"


def prune_caches(loaded: LoadedRun, emit: Emit) -> None:
    """Remove from the cache folders of a run everything that its data sets do not use in the epoch that `train`
    begins or goes on with.

    Raises ConfigError when a seed that is not drawn yet decides what they use.
    """
    stopping = Stopping()
    with stopping.listening(), mishaps_named(loaded.config):
        _require_seed(loaded, emit)
        _prune(open_caches(loaded, emit, stopping))


def _require_seed(loaded: LoadedRun, emit: Emit) -> None:
    drawn = [dataset.id for dataset in loaded.datasets if _depends_on_seed(dataset)]
    if drawn and draws_seed(loaded) and _saved_seed(loaded, emit) is None:
        raise ConfigError(
            f"nobody knows yet what is in use: the seed is drawn at the start, and decides crops or captions of "
            f"{', '.join(drawn)}",
            key="seed",
            cure="set seed to a number above 0, or prune when the run has a checkpoint",
        )


def _depends_on_seed(dataset: DatasetConfig) -> bool:
    """Whether another seed gives other windows, or other captions."""
    shuffle = dataset.caption_shuffle
    windows = dataset.crop_style in ("random", "face") or (dataset.crop and dataset.crop_aspect == "random")
    return (windows and dataset.conditioning_type not in MASKS) or (shuffle.enable and shuffle.seed is None)


def _prune(caches: Caches) -> None:
    emit = caches.stage.emit
    for made in caches.prepared.values():
        made.read_all()
    used = _used(caches)
    for folder in sorted(used):
        removed = prune(TensorStore(folder), used[folder])
        told = f"{removed.removed} files removed ({removed.bytes / 1e6:.1f} MB), {removed.kept} entries kept"
        emit(Notice(f"{folder}: {told}"))


def _used(caches: Caches) -> dict[Path, set[str]]:
    """The keys in use, by folder; data sets may share one."""
    used: dict[Path, set[str]] = defaultdict(set)
    epoch = caches.cacher.epoch
    for made in caches.prepared.values():
        latents = made.keys(epoch) if made.config.conditioning_type not in MASKS else frozenset()
        used[Path(made.config.cache_dir_vae)] |= latents
        if made.masks is not None:
            used[made.masks.folder] |= made.masks.keys(made.arrangement(epoch).entries)
    fingerprint = caches.text.fingerprint()
    captions = {caption for made in _captioned(caches) for caption in made.all_captions()}
    used[caches.stage.loaded.text_cache] |= {caption.key(fingerprint) for caption in captions}
    return used


def _captioned(caches: Caches) -> list[Prepared]:
    """The data sets whose captions are read."""
    return [made for made in caches.prepared.values() if made.config.dataset_type != "conditioning"]


def explain_file(loaded: LoadedRun, file: Path, emit: Emit) -> None:
    """Say of a picture, or of a cache entry, whether and why it is used. Raises ConfigError for any other file."""
    stopping = Stopping()
    with stopping.listening(), mishaps_named(loaded.config):
        _explain(open_caches(loaded, emit, stopping), file)


def _explain(caches: Caches, file: Path) -> None:
    if file.suffix == ".safetensors":
        lines = explain_entry(file, _expected(caches))
    else:
        lines = [line for made in caches.prepared.values() for line in _of_picture(made, caches, file)]
    if not lines:
        folders = ", ".join(sorted({made.surveyed.scanned.where for made in caches.prepared.values()}))
        raise ConfigError(f"no data set of this run holds it ({folders})", file=file, key="--explain")
    for line in lines:
        caches.stage.emit(Notice(line))


def _expected(caches: Caches) -> dict[str, dict[str, str]]:
    """What the latent of each picture is made of now, by sample."""
    found: dict[str, dict[str, str]] = {}
    for made in caches.prepared.values():
        made.read_all()
        for entry in made.entries(caches.cacher.epoch):
            digest = made.cache.digests.get(entry.sample.path)
            name, crop = str(entry.sample), entry.crop
            # A reference has as many latents as there are pictures that it belongs to.
            name += f" at {entry.placement.target}, crop {crop.left},{crop.top}" if name in found else ""
            if digest is not None:
                found[name] = made.latents_in.ingredients(entry, digest)
    return found


def _of_picture(made: Prepared, caches: Caches, file: Path) -> list[str]:
    """What one data set says of a picture, by its path inside the set or on disk; nothing when it is not there."""
    surveyed, head = made.surveyed, f'data set "{made.config.id}":'
    path = path_inside(surveyed.scanned.where, file)
    dropped = [item for item in (*surveyed.scanned.dropped, *surveyed.later) if item.file == path]
    if dropped:
        return [f"{head} {path} is left out: {item.reason} ({item.cure})" for item in dropped]
    if path not in surveyed.scanned.table:
        beyond = made.config.max_num_samples is not None and surveyed.source.version(path)
        return [f"{head} {path} is left out: max_num_samples keeps {len(surveyed.scanned.table)}"] if beyond else []
    if made.config.conditioning_type in MASKS:
        return [f"{head} {path} is the mask of {', '.join(_masked(path, made, caches.prepared)) or 'no picture'}"]
    cache, vae = made.cache, made.latents_in.fingerprint
    found = [
        explain_picture(entry, cache.source, cache.digests, cache.store, vae)
        for entry in made.places(path, caches.cacher.epoch)
    ]
    return [head, *(line for lines in found for line in lines)]


def _masked(mask: str, masks: Prepared, others: Mapping[str, Prepared]) -> list[str]:
    """The pictures that a mask belongs to."""
    name = masks.config.id
    return [
        f"{user}/{path}"
        for user, made in others.items()
        for path, partner in made.surveyed.partners.get(name, {}).items()
        if partner == mask
    ]


def path_inside(where: str, file: Path) -> str:
    """The path of a file inside a source at ``where``: relative to a local folder that holds it, else as written.

    By name first, so that a link in the folder stands for itself; then by what the links lead to.
    """
    root = Path(where)
    both = ((plain_path(file), plain_path(root)), (file.resolve(), root.resolve()))
    inside = (full.relative_to(base).as_posix() for full, base in both if full.is_relative_to(base))
    return next(inside, file.as_posix())
