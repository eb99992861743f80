"""What a run uploads: the folder for the hub with its model card, and the jobs for who carries it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from simpletuner.assemble.stage import Stage
from simpletuner.assemble.training.output import HUB
from simpletuner.config.files.destinations import Destination
from simpletuner.config.load import LoadedRun
from simpletuner.core.progress import Progress
from simpletuner.observe.publish.bundle import CARD, CONFIG, Bundle, asset_name, everything, size_of
from simpletuner.observe.publish.card import model_card
from simpletuner.observe.publish.facts import Facts, ShownPicture, base_of, last_metrics, newest_pictures, reported
from simpletuner.observe.publish.job import Job, time_for
from simpletuner.observe.publish.shareable import scrub_of, shared_config
from simpletuner.validation.save import read_facts
from simpletuner.validation.unstitch import save_alone, stands_beside


def bundle_of(stage: Stage, target: str, source: Path, progress: Progress) -> Bundle:
    """The weights in ``source`` with the card, the configuration and the last pictures of the run at ``progress``."""
    drawn = newest_pictures(stage.output_dir / "validation_images", progress.step)
    facts = gather(stage, target, progress, drawn)
    texts = {CARD: scrub_of(stage.loaded)(model_card(facts)), CONFIG: shared_config(stage.loaded)}
    quality = stage.loaded.config.validation.validation_image_quality
    cut = {path: partial(save_alone, path, quality=quality) for path in drawn if stands_beside(path)}
    return Bundle(source, texts, drawn, cut)


def hub_job(stage: Stage, target: str, folder: Path, progress: Progress) -> Job:
    """To put ``folder`` into the repository ``target``."""
    facts = {
        "private": str(stage.loaded.config.publishing.model_card_private).lower(),
        "message": f"{stage.loaded.name}: step {progress.step}, epoch {progress.epoch}",
        "description": _description(stage),
    }
    return Job("hub", target, str(folder), facts=facts, seconds=time_for(size_of(folder)))


def store_job(stage: Stage, destination: Destination) -> Job:
    """To put the output folder, without its caches, into a store."""
    output_dir = stage.output_dir
    files = everything(output_dir, (HUB, *_caches(stage.loaded), *_former(output_dir)))
    secrets = {key: secret.get_secret_value() for key, secret in destination.secrets.items()}
    target = "/".join(part for part in (destination.root, destination.base_path) if part)
    seconds = time_for(sum((output_dir / name).stat().st_size for name in files))
    facts = {"provider": destination.provider, **destination.place, **secrets}
    return Job("store", target, str(output_dir), files, facts, seconds)


def gather(stage: Stage, target: str, progress: Progress, pictures: Sequence[Path]) -> Facts:
    """What the model card says of the run as it stands at ``progress``."""
    loaded, facts = stage.loaded, stage.family.facts
    source, commit = stage.weights.source, stage.weights.commit
    return Facts(
        repository=target,
        base=base_of(source, is_default=source == facts.flavour(None).source, commit=commit),
        loaded=loaded,
        step=progress.step,
        epoch=progress.epoch,
        processes=stage.processes.count,
        metrics=last_metrics(stage.output_dir / "metrics.jsonl"),
        report=reported(stage.output_dir / "report.json"),
        pictures=tuple(_shown(number, path) for number, path in enumerate(pictures)),
    )


def _shown(number: int, path: Path) -> ShownPicture:
    written = read_facts(path)
    prompt, negative = written.get("prompt", ""), written.get("negative_prompt", "")
    return ShownPicture(asset_name(number, path), prompt, negative, has_inputs="input_digests" in written)


def _description(stage: Stage) -> str:
    config = stage.loaded.config
    sets = ", ".join(dataset.id for dataset in stage.loaded.datasets)
    base = base_of(stage.weights.source, is_default=False).source or "the tiny OmniGen"
    return (
        f"Data: {sets}. Learning rate {config.optimizer.learning_rate:g}, {config.length.train_batch_size} pictures at "
        f"once, flow matching. Base model and VAE: {base}."
    )


def _caches(loaded: LoadedRun) -> Iterator[str]:
    """Folders of the output folder that are caches."""
    output_dir = Path(loaded.config.report.output_dir).absolute()
    for cache in (loaded.text_cache, *(dataset.cache_dir_vae for dataset in loaded.datasets)):
        if cache.absolute().is_relative_to(output_dir):
            yield cache.absolute().relative_to(output_dir).parts[0]


def _former(output_dir: Path) -> Iterator[str]:
    return (path.name for path in output_dir.glob("previous-*"))
