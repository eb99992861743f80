"""The validation of a run, built from its configuration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from simpletuner.adapters.base import digest_of
from simpletuner.assemble.data.prepared import Prepared
from simpletuner.assemble.seeing.inputs import examples, read_input
from simpletuner.assemble.seeing.model_views import averaged, eyes_open, learned
from simpletuner.assemble.stage import Stage
from simpletuner.config.load import LoadedRun
from simpletuner.config.reading.resolutions import parse_resolutions
from simpletuner.config.rules.together import validation_seed
from simpletuner.config.rules.validation import previews_are_seen
from simpletuner.core.errors import ConfigError
from simpletuner.core.events import Emit, Notice
from simpletuner.models.facts import FamilyFacts
from simpletuner.models.family import Codec, PreviewDecoder, TextReader
from simpletuner.models.source import find_commit
from simpletuner.training.update import Engine
from simpletuner.validation.gallery import Gallery
from simpletuner.validation.library import LIBRARY
from simpletuner.validation.prompts import PromptSpec, collect
from simpletuner.validation.render import Sampling, Studio
from simpletuner.validation.schedule import Schedule
from simpletuner.validation.validator import BASE, Validator, Weights

# Of each data set, where `num_eval_images` does not say.
_EXAMPLES = 4


def build_validator(
    stage: Stage,
    engine: Engine,
    eyes: tuple[Codec, TextReader],
    datasets: Sequence[Prepared],
    first_step: int,
) -> Validator:
    """The validator; with nothing to draw it does nothing. ``eyes`` are the codec and the tokenizer.

    Raises DataError when an input picture cannot be read, or a prompt names others than it has.
    """
    loaded, emit = stage.loaded, stage.emit
    gallery = gallery_of(loaded, engine.model.family.facts, eyes[1], datasets, emit)
    schedule = schedule_of(loaded, first_step)
    model = engine.model
    adapter = model.adapter
    digest = (lambda: digest_of(adapter.tensors())) if adapter is not None else (lambda: "")
    device = engine.parallel.device
    preview = _preview_loader(stage, device)
    studio = Studio(model.family, model, eyes[0], eyes[1], device, digest, preview)
    return Validator(studio, gallery, schedule, weights_of(loaded, engine), emit)


def gallery_of(
    loaded: LoadedRun, facts: FamilyFacts, text: TextReader, datasets: Sequence[Prepared], emit: Emit
) -> Gallery:
    """What a validation draws; errors are those of :func:`build_validator`."""
    config = loaded.config.validation
    prompts = () if config.validation_disable else _prompts(loaded, facts, datasets, emit)
    for spec in prompts:
        # A prompt that names pictures wrongly is told now, not at the first validation.
        text.tokenize(spec.prompt, len(spec.pictures))
    return Gallery(
        prompts=prompts,
        sizes=parse_resolutions(config.validation_resolution),
        repeats=config.num_validation_images,
        sampling=sampling(loaded),
        output_dir=Path(loaded.config.report.output_dir),
        picture_format=config.validation_image_format,
        quality=config.validation_image_quality,
        input_side=config.validation_stitch_input_location,
        is_random=config.validation_randomize,
        preview_every=config.validation_preview_steps,
        facts={"model": loaded.config.model.pretrained_model_name_or_path or loaded.config.model.model_flavour or ""},
        notes=_notes(loaded),
    )


def schedule_of(loaded: LoadedRun, first_step: int) -> Schedule:
    """When to draw in a run that goes on from ``first_step``."""
    config = loaded.config.validation
    return Schedule(
        step_interval=config.validation_step_interval,
        epoch_interval=config.validation_epoch_interval,
        on_startup=config.validation_on_startup,
        after_step=config.validate_after_step,
        after_epoch=config.validate_after_epoch,
        first_step=first_step,
    )


def preview_commits(stage: Stage) -> dict[str, str]:
    """The commit of the repository that the decoder of previews comes from: that of the stage, or its newest.

    Empty where nobody looks, the model has its own, or there is none to be had: that ends the previews, later.
    """
    repository = stage.family.preview_repository(stage.weights.source) if _shows_previews(stage) else None
    if repository is None:
        return {}
    try:
        return {repository: find_commit(repository, stage.commits.get(repository))}
    except ConfigError:
        return {}


def _shows_previews(stage: Stage) -> bool:
    """Whether this process tells of previews, and somebody looks at them."""
    loaded = stage.loaded
    asked = loaded.config.validation.validation_preview and previews_are_seen(loaded.config, loaded.webhooks)
    return asked and stage.processes.is_first


def _preview_loader(stage: Stage, device: torch.device) -> Callable[[], PreviewDecoder] | None:
    """What loads the decoder of previews in the process that tells, where somebody looks at them."""
    if not _shows_previews(stage):
        return None
    family, source = stage.family, stage.weights.source
    commit = stage.commits.get(family.preview_repository(source) or "")
    dtype = torch.float32 if device.type == "cpu" else torch.float16
    return lambda: family.load_preview_decoder(source, device, dtype, commit)


def _notes(loaded: LoadedRun) -> dict[str, str]:
    """How the model computes while it draws, by the names of the options."""
    config = loaded.config
    return {
        "validation_lycoris_strength": str(config.validation.validation_lycoris_strength),
        "model_type": config.model.model_type,
        "mixed_precision": config.model.mixed_precision,
        "vae_dtype": config.model.vae_dtype,
        "base_model_default_dtype": config.precision.base_model_default_dtype,
        "base_model_precision": config.precision.base_model_precision,
    }


def _prompts(loaded: LoadedRun, facts: FamilyFacts, datasets: Sequence[Prepared], emit: Emit) -> tuple[PromptSpec, ...]:
    """Every prompt to draw, with its input pictures."""
    config = loaded.config.validation
    count = loaded.config.evaluation.num_eval_images or _EXAMPLES
    drawn = examples(datasets, count) if config.validation_using_datasets else ()
    found = collect(
        config.validation_prompt,
        loaded.prompts,
        unconditional=not config.validation_disable_unconditional,
        beside=(*drawn, *(LIBRARY if config.validation_prompt_library else ())),
        pictures=tuple(read_input(file, facts.native_edge, facts.side_multiple) for file in loaded.inputs),
    )
    if found and any(made.pictures for made in datasets) and not any(spec.pictures for spec in found):
        how = "validation_using_datasets=true draws with references of the data sets, validation_input with files"
        emit(Notice(f"the run trains with input pictures and validates without: {how}"))
    return found


def sampling(loaded: LoadedRun) -> Sampling:
    """How pictures are drawn; the seed is ``validation_seed``, else ``seed``, else 0."""
    config = loaded.config.validation
    return Sampling(
        steps=config.validation_num_inference_steps,
        guidance=config.validation_guidance,
        seed=validation_seed(loaded.config),
        negative=config.validation_negative_prompt,
        picture_guidance=config.validation_image_guidance,
    )


def weights_of(loaded: LoadedRun, engine: Engine) -> dict[str, Weights]:
    """The panels from left to right: base model, live weights, averaged weights."""
    config, mode = loaded.config.validation, loaded.config.ema.ema_validation
    model, ema = engine.model, engine.ema
    strength = config.validation_lycoris_strength
    weights: dict[str, Weights] = {}
    if not config.disable_benchmark and model.adapter is not None:
        weights[BASE] = lambda _own: eyes_open(model, model.strength(0.0))
    if ema is None or mode != "ema_only":
        weights["step {step}"] = lambda own: learned(engine, strength if own is None else own)
    if ema is not None and mode != "none":
        name = "EMA {step}" if mode == "ema_only" else "EMA"
        weights[name] = lambda own: averaged(model, ema, strength if own is None else own)
    return weights
