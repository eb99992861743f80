"""Pictures from a base model and perhaps an adapter, for the scripts that make reports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from simpletuner.adapters.lycoris.adapter import attach_lycoris
from simpletuner.config.files.lycoris import read_lycoris
from simpletuner.core.batch import Prompt
from simpletuner.models.family import MemorySaving
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.training.model import TrainedModel
from simpletuner.validation.render import Predict, Sampling, Studio, render

CPU = torch.device("cpu")


def open_studio(base: Path, trained: Path | None = None, strength: float = 1.0) -> Studio:
    """The model of ``base`` (diffusers layout), and over it the adapter of the run folder ``trained``."""
    family = OmniGen()
    denoiser = family.load_denoiser(base, torch.float32)
    adapter = None
    if trained is not None:
        config = read_lycoris(trained / "lycoris_config.json")
        adapter = attach_lycoris(denoiser, config, family.facts.class_aliases, seed=0)
        adapter.load_tensors(load_file(trained / "pytorch_lora_weights.safetensors"))
    model = TrainedModel(family, denoiser, adapter).eval()
    codec = family.load_codec(base, CPU, torch.float32, MemorySaving())
    return Studio(family, _at_strength(model, strength), codec, family.load_text(base, builtin_negative=False), CPU)


def _at_strength(model: TrainedModel, strength: float) -> Predict:
    def predict(noisy: Tensor, sigma: Tensor, prompts: Sequence[Prompt]) -> Tensor:
        with model.strength(strength):
            velocity: Tensor = model(noisy, sigma, prompts)
        return velocity

    return predict


@torch.no_grad()
def draw(studio: Studio, prompts: Sequence[str], edge: int, sampling: Sampling) -> list[Image.Image]:
    """One square picture of ``edge`` pixels for each prompt, all from the same noise."""
    return [render(studio, prompt, (edge, edge), sampling, lambda step: None) for prompt in prompts]
