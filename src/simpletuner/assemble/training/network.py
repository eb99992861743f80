"""The model of a run: weights, number format, adapter, average, and how much of it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from simpletuner.adapters.lycoris.preset import class_shares
from simpletuner.assemble.stage import Stage
from simpletuner.assemble.training.adapter import Laid, lay_adapter
from simpletuner.config.load import LoadedRun
from simpletuner.config.sections.precision import PrecisionConfig
from simpletuner.core.events import Notice
from simpletuner.core.linears import LinearShape
from simpletuner.models.execution import execution_of
from simpletuner.models.family import ModelFamily
from simpletuner.models.source import Source
from simpletuner.precision.quantise import quantise
from simpletuner.training.ema import Ema, EmaSettings
from simpletuner.training.model import TrainedModel
from simpletuner.training.parallel.shards import is_shared, values_of


@dataclass(frozen=True)
class Built:
    """The model of a run; ``laid`` is what it has of an adapter, None when all weights are trained."""

    model: TrainedModel
    laid: Laid | None


def build_model(stage: Stage, source: Source) -> Built:
    """Load the denoiser, quantise it, lay the adapter over it (or free all weights), and move both to the device."""
    loaded, family, precision, device = stage.loaded, stage.family, stage.precision, stage.accelerator.device
    denoiser = family.load_denoiser(source, precision.base)
    if told := _quantise(loaded.config.precision, family, denoiser, device):
        stage.emit(Notice(told))
    laid = None
    if loaded.config.model.model_type == "full":
        denoiser.requires_grad_(requires_grad=True)
    else:
        laid = lay_adapter(stage, denoiser)
    family.configure(denoiser, execution_of(loaded.config.memory, device))
    model = TrainedModel(family, denoiser, laid.adapter if laid else None, precision.autocast)
    # What is sharded goes there part by part.
    return Built((model if stage.is_sharded else model.to(device)).train(), laid)


def _quantise(config: PrecisionConfig, family: ModelFamily, denoiser: nn.Module, device: torch.device) -> str:
    """Hold the linears of the blocks in the number format asked for; a line about it, empty when there is none."""
    preset = config.base_model_precision
    if preset == "no_change":
        return ""
    paths = [shape.path for shape in family.linears(denoiser)]
    done = quantise(denoiser, paths, preset, device, config.quantize_via)
    before, after = done.bytes_before / 1e6, done.bytes_after / 1e6
    return f"base weights in {preset}: {done.layers} linears take {after:,.1f} MB instead of {before:,.1f}"


def build_ema(loaded: LoadedRun, model: TrainedModel, device: torch.device) -> Ema | None:
    """The average of the trained weights, when ``use_ema``."""
    ema = loaded.config.ema
    if not ema.use_ema:
        return None
    # The average of what processes hold in parts has the same parts, and lies where they do.
    in_parts = any(is_shared(parameter) for parameter in model.trainable().values())
    lies = device if in_parts or ema.ema_device == "accelerator" else torch.device("cpu")
    settings = EmaSettings(
        decay=ema.ema_decay,
        interval=ema.ema_update_interval,
        warmup=ema.ema_warmup_steps,
        at=lies if ema.ema_cpu_only else device,
        one_by_one=ema.ema_foreach_disable,
    )
    return Ema(model.trainable(), settings, device=lies)


def coverage_lines(model: TrainedModel, shapes: Sequence[LinearShape]) -> tuple[str, ...]:
    """What is trained, for a person: shares of each module class, values and file size."""
    values = [(values_of(parameter), parameter.element_size()) for parameter in model.trainable().values()]
    trained = sum(count for count, _ in values)
    megabytes = sum(count * size for count, size in values) / 1e6
    if model.adapter is None:
        return (f"training all {trained:,} weights ({megabytes:,.1f} MB)",)
    classes = tuple(dict.fromkeys(shape.inside[-1] for shape in shapes))
    shares = class_shares(classes, shapes, model.adapter.parameters_by_path())
    return (*(share.line() for share in shares), f"the adapter: {trained:,} parameters, {megabytes:,.1f} MB")
