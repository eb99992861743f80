from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import OmniGenTransformer2DModel

from simpletuner.models.execution import Execution
from simpletuner.models.omnigen.denoiser import OmniGenDenoiser, running
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.forward import forward
from simpletuner.models.omnigen.layers import TINY_FOLDER
from simpletuner.models.omnigen.prompt import PromptBatch
from tests.models.omnigen.tiny_model import random_omnigen


def test_it_has_diffusers_weights_under_diffusers_names_and_is_saved_as_diffusers_model(tmp_path: Path) -> None:
    family = OmniGen()
    model = family.load_denoiser(TINY_FOLDER, torch.float32)
    assert isinstance(model, OmniGenDenoiser)
    family.configure(model, Execution(recompute=True, swapped=2))
    weights = OmniGenTransformer2DModel.from_pretrained(TINY_FOLDER, subfolder="transformer").state_dict()
    family.save_denoiser(model, tmp_path, torch.float32)
    assert json.loads((tmp_path / "config.json").read_text())["_class_name"] == "OmniGenTransformer2DModel"
    stored = OmniGenTransformer2DModel.from_pretrained(tmp_path).state_dict()
    for found in (model.state_dict(), stored):
        assert all(torch.equal(tensor, weights[name]) for name, tensor in found.items())
        assert found.keys() == weights.keys()


def test_a_model_that_nobody_configured_heeds_diffusers_flag_and_a_configured_one_keeps_its_tables() -> None:
    model = random_omnigen()
    assert running(model).blocks.execution == Execution()
    model.gradient_checkpointing = True
    assert running(model).blocks.execution == Execution(recompute=True)
    OmniGen().configure(model, Execution(interval=2, recompute=True))
    assert running(model).blocks.execution.interval == 2
    assert running(model).rotary is running(model).rotary


def test_the_pass_asks_the_device_for_no_value_and_a_swapped_model_moves_without_its_rotating_blocks() -> None:
    """On the meta device there is no value to give: whatever asks for one fails."""
    model = random_omnigen(num_layers=4)
    OmniGen().configure(model.requires_grad_(requires_grad=False), Execution(recompute=True, swapped=1))
    model.to("meta")
    assert {tensor.device.type for tensor in model.layers[3].parameters()} == {"meta"}
    assert {tensor.device.type for tensor in model.layers[0].parameters()} == {"cpu"}
    model = random_omnigen().to("meta")
    for lengths in ([9, 9], [5, 9]):
        prompts = PromptBatch(torch.ones(2, 9, dtype=torch.int64, device="meta"), tuple(lengths))
        for sizes in (None, ((8, 8), (4, 6))):
            latents, clock = torch.empty(2, 4, 8, 8, device="meta"), torch.empty(2, device="meta")
            assert forward(model, latents, clock, prompts, sizes).shape == latents.shape
