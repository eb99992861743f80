"""The model of a run: weights, adapter, optimizer, average, and what saves and restores them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch

from simpletuner.adapters.lycoris import attach_lycoris
from simpletuner.adapters.preset import class_shares, resolve_preset, resolved_classes
from simpletuner.assemble.hardware import Precision
from simpletuner.config.load import LoadedRun
from simpletuner.core.keyed import derive_seed
from simpletuner.core.linears import LinearShape
from simpletuner.models.facts import FamilyFacts
from simpletuner.models.family import ModelFamily
from simpletuner.training.ema import Ema, EmaSettings
from simpletuner.training.model import TrainedModel


def build_model(
    loaded: LoadedRun, family: ModelFamily, source: str | Path, precision: Precision, seed: int, device: torch.device
) -> TrainedModel:
    """Load the denoiser, lay the adapter over it (or free all weights), and move both to ``device``."""
    denoiser = family.load_denoiser(source, precision.base)
    family.set_recompute(denoiser, enabled=loaded.config.memory.gradient_checkpointing)
    adapter = None
    if loaded.lycoris is None:
        denoiser.requires_grad_(requires_grad=True)
    else:
        adapter = attach_lycoris(denoiser, loaded.lycoris, family.facts.class_aliases, derive_seed(seed, "adapter"))
        for parameter in adapter.parameters():
            parameter.data = parameter.data.to(precision.adapter)
    model = TrainedModel(family, denoiser, adapter, precision.autocast).to(device)
    return model.train()


def build_ema(loaded: LoadedRun, model: TrainedModel, device: torch.device) -> Ema | None:
    """The average of the trained weights, when ``use_ema``."""
    ema = loaded.config.ema
    if not ema.use_ema:
        return None
    settings = EmaSettings(ema.ema_decay, ema.ema_update_interval, ema.ema_warmup_steps)
    return Ema(model.trainable(), settings, device=device if ema.ema_device == "accelerator" else torch.device("cpu"))


def coverage_lines(model: TrainedModel, shapes: Sequence[LinearShape]) -> tuple[str, ...]:
    """What is trained, for a person: shares of each module class, values and file size."""
    trained = sum(parameter.numel() for parameter in model.trainable().values())
    megabytes = sum(parameter.nbytes for parameter in model.trainable().values()) / 1e6
    if model.adapter is None:
        return (f"training all {trained:,} weights ({megabytes:,.1f} MB)",)
    classes = tuple(dict.fromkeys(shape.inside[-1] for shape in shapes))
    shares = class_shares(classes, shapes, model.adapter.parameters_by_path())
    return (*(share.line() for share in shares), f"the adapter: {trained:,} parameters, {megabytes:,.1f} MB")


def adapter_metadata(loaded: LoadedRun, facts: FamilyFacts, resolution: str) -> dict[str, str]:
    """Safetensors metadata of the adapter file in the ModelSpec convention; all values are text."""
    lycoris = loaded.lycoris
    if lycoris is None:
        return {}
    preset = resolve_preset(lycoris.raw.get("apply_preset", {}), facts.class_aliases)
    flavour = loaded.config.model.model_flavour or facts.default_flavour
    return {
        "lycoris_config": json.dumps(lycoris.raw),
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": f"{facts.name}-{flavour}/lora",
        "modelspec.implementation": "diffusers",
        "modelspec.title": loaded.config.report.tracker_run_name,
        "modelspec.resolution": resolution,
        "modelspec.description": f"LyCORIS {lycoris.algo} adapter for {facts.name}",
        "resolved_classes": ",".join(resolved_classes(preset)),
    }
