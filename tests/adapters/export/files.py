"""Adapter files for the tiny model, of any method, with values that can be seen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from simpletuner.adapters.base import Adapter
from simpletuner.adapters.lycoris.adapter import attach_lycoris
from simpletuner.adapters.peft import attach_lora
from simpletuner.adapters.targets import LoraSettings
from simpletuner.config.files.lycoris import parse_lycoris
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.layers import FACTS, TINY_FOLDER
from simpletuner.training.tensor_file import write_tensors

TARGETS = {"target_module": ["Attention", "FeedForward"]}
LOKR = {"algo": "lokr", "linear_dim": 10000, "factor": 16}
LOHA = {"algo": "loha", "linear_dim": 4}
LORA = {"algo": "lora", "linear_dim": 4}
DOCUMENT = LOKR | {"apply_preset": TARGETS | {"module_algo_map": {"FeedForward": {"factor": 8}}}}
STANDARD: dict[str, Any] = {}


def adapter_file(folder: Path, settings: Mapping[str, Any]) -> Path:
    """A file with the network of ``settings`` (of LyCORIS; empty for a standard LoRA) over the tiny model."""
    denoiser = OmniGen().load_denoiser(TINY_FOLDER, torch.float32)
    metadata = {"modelspec.architecture": "omnigen-tiny/lora"}
    adapter: Adapter
    if settings:
        config = parse_lycoris({"multiplier": 1.0, "linear_alpha": 2, "apply_preset": TARGETS, **settings}, folder)
        adapter = attach_lycoris(denoiser, config, FACTS.class_aliases, 1)
        metadata["lycoris_config"] = json.dumps(config.raw)
    else:
        adapter = attach_lora(denoiser, LoraSettings(4, 8.0), FACTS.class_aliases, OmniGen().linears(denoiser), 1)
        metadata |= adapter.metadata()
    draws = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for value in adapter.parameters():
            value.add_(torch.randn(value.shape, generator=draws) * 0.02 * (value.abs().mean() + 0.5))
    path = folder / "adapter.safetensors"
    write_tensors(path, adapter.tensors(), metadata)
    return path
