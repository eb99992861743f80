"""Who judges validation pictures, built from a configuration before anything trains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import torch
from PIL import Image

from simpletuner.assemble.data.datasets import TrainingData
from simpletuner.assemble.data.prepared import Prepared
from simpletuner.assemble.seeing.loss_references import taught
from simpletuner.assemble.stage import Stage
from simpletuner.config.load import LoadedRun
from simpletuner.core.errors import ConfigError
from simpletuner.core.events import Emit, Notice
from simpletuner.data.cache.keys import content_digest
from simpletuner.data.entries import Entry, PictureError
from simpletuner.data.files.ahead import ahead
from simpletuner.data.files.images import open_rgb, resize_and_crop
from simpletuner.models.facts import FamilyFacts
from simpletuner.validation.scores.clip import clip_on
from simpletuner.validation.scores.clip_files import DEFAULT, FoundClip, find_clip
from simpletuner.validation.scores.clip_scorer import Bench, ClipScorer
from simpletuner.validation.scores.scorer import PictureScorer

_MOST_TRAINED = 2048
"""Training pictures that are compared; of more, so many, evenly spread."""
_THREADS = 4


def require_clip(stage: Stage) -> FoundClip | None:
    """The CLIP of a run, fetched and loaded once before anything else, so that what is wrong with it is told now.

    Of the hub it is the one of the commit that the stage names, or its newest. None where nothing is scored, or this
    process draws nothing. Raises ConfigError.
    """
    loaded = stage.loaded
    if loaded.config.evaluation.evaluation_type != "clip" or not _draws(stage):
        return None
    named = loaded.config.evaluation.pretrained_evaluation_model_name_or_path
    try:
        named = named or clip_of(loaded, stage.family.facts)
        found = find_clip(named, Path.cwd(), lambda text: stage.emit(Notice(text)), stage.commits)
        with clip_on(found.folder, torch.device("cpu")):
            pass
    except ConfigError as error:
        file = error.file or loaded.place_of(error.key)
        raise ConfigError(error.reason, file=file, key=error.key, cure=error.cure) from error
    return found


def build_scorer(stage: Stage, clip: FoundClip | None, data: TrainingData, device: torch.device) -> PictureScorer:
    """The scorer of a run, with what :func:`require_clip` found; one that does nothing where there is nothing to do."""
    training = None
    if stage.loaded.config.evaluation.looks_for_copies and _draws(stage):
        training = partial(_pictures, taught(data.datasets), stage.emit)
    if clip is None and training is None:
        return PictureScorer()
    load = partial(clip_on, clip.folder) if clip else None
    return ClipScorer(Bench(load, training, device, lambda step: max(1, data.calendar.epochs_for(step))), stage.emit)


def _draws(stage: Stage) -> bool:
    """Whether this process draws pictures: the first one, or each that holds a part of the model."""
    is_asked = stage.processes.is_first or stage.is_sharded
    return is_asked and not stage.loaded.config.validation.validation_disable


def clip_of(loaded: LoadedRun, facts: FamilyFacts) -> str:
    """The CLIP that goes with the model where the user names none."""
    model, tiny = loaded.config.model, facts.flavours["tiny"].source
    named = model.pretrained_model_name_or_path
    is_tiny = model.model_flavour == "tiny" or (named is not None and Path(named).resolve() == Path(tiny).resolve())
    return str(Path(tiny) / "clip") if is_tiny or named == "tiny" else DEFAULT


def _pictures(datasets: Sequence[Prepared], emit: Emit) -> Iterator[tuple[str, Image.Image]]:
    """Every picture trained on in its window of the first epoch, with its name; a picture in two data sets once."""
    places = [(made, entry) for made in datasets for entry in made.arrangement(0).entries]
    kept = min(len(places), _MOST_TRAINED)
    if kept < len(places):
        emit(Notice(f"memorisation: {kept} of {len(places)} training pictures are compared"))
    chosen = [places[number * len(places) // kept] for number in range(kept)]
    known: set[str] = set()
    with ThreadPoolExecutor(_THREADS) as pool:
        for digest, name, image in ahead(pool, _read, chosen, 2 * _THREADS):
            if image is not None and digest not in known:
                known.add(digest)
                yield name, image


def _read(place: tuple[Prepared, Entry]) -> tuple[str, str, Image.Image | None]:
    """Digest, name and window of one picture; no window where it cannot be read any more."""
    made, entry = place
    try:
        content = made.cache.source.read(entry.sample.path)
        image = resize_and_crop(open_rgb(content), entry.placement, entry.crop)
    except PictureError:
        return "", str(entry.sample), None
    return content_digest(content), str(entry.sample), image
