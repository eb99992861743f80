"""The validation of a run, built from its configuration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import torch

from simpletuner.config.load import LoadedRun
from simpletuner.config.resolutions import parse_resolutions
from simpletuner.config.rules import validation_seed
from simpletuner.core.events import Emit
from simpletuner.core.keyed import derive_seed
from simpletuner.models.family import Codec, TextReader
from simpletuner.training.ema import Ema
from simpletuner.training.loop import Engine
from simpletuner.training.model import TrainedModel
from simpletuner.training.optimizers import evaluating
from simpletuner.validation.prompts import collect
from simpletuner.validation.render import Sampling, Studio
from simpletuner.validation.schedule import Schedule
from simpletuner.validation.validator import BASE, Gallery, Validator, Weights


def build_validator(
    loaded: LoadedRun, engine: Engine, eyes: tuple[Codec, TextReader], first_step: int, emit: Emit
) -> Validator:
    """The validator; with nothing to draw it does nothing. ``eyes`` are the codec and the tokenizer."""
    config = loaded.config.validation
    asked = [(prompt.nickname, prompt.prompt) for prompt in loaded.prompts]
    prompts = collect(config.validation_prompt, asked, unconditional=not config.validation_disable_unconditional)
    gallery = Gallery(
        prompts=() if config.validation_disable else prompts,
        sizes=parse_resolutions(config.validation_resolution),
        repeats=config.num_validation_images,
        sampling=sampling(loaded),
        output_dir=Path(loaded.config.report.output_dir),
        picture_format=config.validation_image_format,
        quality=config.validation_image_quality,
        facts={"model": loaded.config.model.pretrained_model_name_or_path or loaded.config.model.model_flavour or ""},
    )
    schedule = Schedule(
        step_interval=config.validation_step_interval,
        epoch_interval=config.validation_epoch_interval,
        on_startup=config.validation_on_startup,
        first_step=first_step,
    )
    model = engine.model
    studio = Studio(model.family, model, eyes[0], eyes[1], next(model.denoiser.parameters()).device)
    return Validator(studio, gallery, schedule, _weights(loaded, engine), emit)


def sampling(loaded: LoadedRun) -> Sampling:
    """How pictures are drawn; the seed is ``validation_seed``, else ``seed``, else 0."""
    config = loaded.config.validation
    return Sampling(
        steps=config.validation_num_inference_steps,
        guidance=config.validation_guidance,
        seed=validation_seed(loaded.config),
        negative=config.validation_negative_prompt,
    )


def _weights(loaded: LoadedRun, engine: Engine) -> dict[str, Weights]:
    """The panels from left to right: base model, live weights, averaged weights."""
    config, mode = loaded.config.validation, loaded.config.ema.ema_validation
    model, ema = engine.model, engine.ema
    strength = config.validation_lycoris_strength
    weights: dict[str, Weights] = {}
    if not config.disable_benchmark and model.adapter is not None:
        weights[BASE] = lambda: _eyes_open(model, model.strength(0.0))
    if ema is None or mode != "ema_only":
        weights["step {step}"] = lambda: _learned(engine, strength)
    if ema is not None and mode != "none":
        weights["EMA {step}" if mode == "ema_only" else "EMA"] = lambda: _averaged(model, ema, strength)
    return weights


@contextmanager
def _eyes_open(model: TrainedModel, change: AbstractContextManager[None]) -> Iterator[None]:
    """Evaluation mode, no gradients, and the training's random stream left as it was."""
    with torch.random.fork_rng(devices=[]), torch.no_grad(), change:
        torch.manual_seed(derive_seed("validation"))
        model.eval()
        try:
            yield
        finally:
            model.train()


@contextmanager
def _learned(engine: Engine, strength: float) -> Iterator[None]:
    with evaluating(engine.optimizer), _eyes_open(engine.model, engine.model.strength(strength)):
        yield


@contextmanager
def _averaged(model: TrainedModel, ema: Ema, strength: float) -> Iterator[None]:
    with ema.applied(), _eyes_open(model, model.strength(strength)):
        yield
