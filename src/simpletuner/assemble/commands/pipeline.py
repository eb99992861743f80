"""What `generate` draws with: base model, adapter and numbers as a run has them in its validation."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from simpletuner.adapters.base import digest_of
from simpletuner.adapters.initial import AdapterFile
from simpletuner.assemble.commands.adapted_model import adapted
from simpletuner.assemble.commands.arguments import Base
from simpletuner.assemble.hardware import Precision, best_device, resolve_precision
from simpletuner.assemble.unseen import drawing_warning
from simpletuner.config.sections.memory import MemoryConfig
from simpletuner.config.sections.model import ModelConfig
from simpletuner.config.sections.precision import PrecisionConfig
from simpletuner.models.execution import execution_of
from simpletuner.models.family import Codec, MemorySaving, ModelFamily, TextReader
from simpletuner.models.registry import family as find_family
from simpletuner.precision.quantise import quantise
from simpletuner.training.model import TrainedModel
from simpletuner.validation.render import Studio


@dataclass(frozen=True)
class Pipeline:
    """Everything but the model's adapter. ``numbers`` and ``frozen`` are options of a run."""

    base: Base
    family: ModelFamily
    device: torch.device
    numbers: Precision
    frozen: PrecisionConfig
    codec: Codec
    text: TextReader


def set_up(base: Base, options: Mapping[str, str], tell: Callable[[str], None]) -> Pipeline:
    """Load codec and tokenizer; ``options`` (flat name to value) say how the model computes, the rest is usual."""
    family, device = find_family(base.family), best_device()
    if device.type == "cpu" and (warning := drawing_warning(os.environ)):
        tell(warning)
    model = ModelConfig.model_validate(
        {"model_family": base.family, "model_type": "lora"} | _of(options, "model_type", "mixed_precision", "vae_dtype")
    )
    frozen = PrecisionConfig.model_validate(_of(options, "base_model_default_dtype", "base_model_precision"))
    numbers = resolve_precision(model, frozen, "", device, bf16_adapter=False)
    # A number format that nobody asked for is no news.
    for notice in numbers.notices if options else ():
        tell(notice)
    codec = family.load_codec(base.origin, device, numbers.vae, MemorySaving())
    text = family.load_text(base.origin, builtin_negative=base.builtin_negative)
    return Pipeline(base, family, device, numbers, frozen, codec, text)


def _of(options: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: options[name] for name in names if name in options}


def model_for(pipeline: Pipeline, file: AdapterFile | None) -> TrainedModel:
    """The base model, with the adapter of ``file`` over it, ready to draw. Raises ConfigError when they do not fit."""
    denoiser = pipeline.family.load_denoiser(pipeline.base.origin, pipeline.numbers.base)
    _quantise(pipeline, denoiser)
    adapter = None if file is None else adapted(pipeline.family, denoiser, file).adapter
    pipeline.family.configure(denoiser, execution_of(MemoryConfig(), pipeline.device))
    return TrainedModel(pipeline.family, denoiser, adapter, pipeline.numbers.autocast).to(pipeline.device).eval()


def _quantise(pipeline: Pipeline, denoiser: nn.Module) -> None:
    if pipeline.frozen.base_model_precision != "no_change":
        paths = [shape.path for shape in pipeline.family.linears(denoiser)]
        quantise(denoiser, paths, pipeline.frozen.base_model_precision, pipeline.device, pipeline.frozen.quantize_via)


def studio_of(pipeline: Pipeline, model: TrainedModel) -> Studio:
    """``model`` as the sampler takes it."""
    adapter = model.adapter
    digest = (lambda: digest_of(adapter.tensors())) if adapter is not None else (lambda: "")
    return Studio(pipeline.family, model, pipeline.codec, pipeline.text, pipeline.device, digest)
