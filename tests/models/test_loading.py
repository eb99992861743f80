"""Weights that are not there, and weights that are only half there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from simpletuner.core.errors import ConfigError
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.layers import TINY_FOLDER

POSITIONS = "patch_embedding.pos_embed"


def test_a_folder_that_is_not_there_names_the_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pretrained_model_name_or_path"):
        OmniGen().load_denoiser(tmp_path, torch.float32)


def test_a_missing_weight_is_never_filled_with_random_numbers(tmp_path: Path) -> None:
    shutil.copytree(TINY_FOLDER / "transformer", tmp_path / "transformer")
    file = tmp_path / "transformer" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    del weights["layers.3.self_attn.to_q.weight"]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ConfigError, match=r"lacks 1 weights.*layers\.3\.self_attn\.to_q"):
        OmniGen().load_denoiser(tmp_path, torch.float32)


def test_the_tiny_models_positions_are_computed() -> None:
    stored = load_file(TINY_FOLDER / "transformer" / "diffusion_pytorch_model.safetensors")
    loaded = OmniGen().load_denoiser(TINY_FOLDER, torch.float32).state_dict()
    assert POSITIONS not in stored
    assert loaded[POSITIONS].shape == (1, 192 * 192, 256)
    assert loaded[POSITIONS].std() > 0.1


def test_saving_and_loading_keeps_every_weight(tmp_path: Path) -> None:
    family = OmniGen()
    first = family.load_denoiser(TINY_FOLDER, torch.float32)
    family.save_denoiser(first, tmp_path / "transformer", torch.float32)
    second = family.load_denoiser(tmp_path, torch.float32).state_dict()
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.state_dict().items())
