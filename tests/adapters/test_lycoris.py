"""LoKr on a real OmniGen: which layers, which names, what strength, and nothing left behind in the library."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from lycoris import LycorisNetwork
from lycoris.config import PRESET

from simpletuner.adapters.lycoris import attach_lycoris
from simpletuner.adapters.preset import class_shares
from simpletuner.config.lycoris import LycorisConfig, parse_lycoris
from simpletuner.core.errors import ConfigError, DataError
from simpletuner.models.omnigen.layers import FACTS
from tests.models.omnigen.tiny_model import random_omnigen

DOCUMENT = Path("tests/fixtures/document/lycoris_config.json")
ALIASES = FACTS.class_aliases


def document(**changes: object) -> LycorisConfig:
    return parse_lycoris(json.loads(DOCUMENT.read_text()) | changes, DOCUMENT)


def test_the_documents_recipe_adapts_all_six_linears_of_every_block() -> None:
    model = random_omnigen().requires_grad_(requires_grad=False)
    adapter = attach_lycoris(model, document(), ALIASES, seed=0)
    shapes = FACTS.linear_shapes(model.config)
    shares = class_shares(("Attention", "OmniGenFeedForward"), shapes, adapter.parameters_by_path())
    assert [(share.adapted, share.linears) for share in shares] == [(8, 8), (4, 4)]
    assert set(adapter.parameters_by_path()) == {shape.path for shape in shapes}
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_names_are_those_other_programs_read() -> None:
    tensors = attach_lycoris(random_omnigen(), document(), ALIASES, seed=0).tensors()
    assert "lycoris_layers_1_self_attn_to_out_0.lokr_w1" in tensors
    assert tensors["lycoris_layers_0_mlp_gate_up_proj.lokr_w2"].shape == (256 // 8, 64 // 8)
    assert len(tensors) == 12 * 3


def test_it_starts_as_the_base_model_and_strength_zero_is_the_base_model() -> None:
    model, states = random_omnigen(), torch.randn(2, 5, 64)
    linear = model.layers[0].mlp.gate_up_proj
    base = linear(states)
    adapter = attach_lycoris(model, document(), ALIASES, seed=0)
    assert torch.equal(linear(states), base)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(0.1)
    assert not torch.allclose(linear(states), base)
    with adapter.strength(0.0):
        assert torch.equal(linear(states), base)
    assert not torch.allclose(linear(states), base)


def test_the_branch_form_is_the_kronecker_delta() -> None:
    model, states = random_omnigen(), torch.randn(3, 64)
    linear = model.layers[0].self_attn.to_q
    adapter = attach_lycoris(model, document(), ALIASES, seed=0)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(0.1)
    tensors = adapter.tensors()
    delta = torch.kron(*(tensors[f"lycoris_layers_0_self_attn_to_q.lokr_{name}"] for name in ("w1", "w2")))
    assert torch.allclose(linear(states), states @ (linear.weight + delta).T, atol=1e-5)


def test_first_values_depend_on_the_seed_alone() -> None:
    def first(seed: int) -> torch.Tensor:
        torch.randn(7)
        adapter = attach_lycoris(random_omnigen(), document(), ALIASES, seed=seed)
        return adapter.tensors()["lycoris_layers_0_self_attn_to_q.lokr_w1"].clone()

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))


def test_a_class_that_no_module_has_is_refused() -> None:
    preset = {"target_module": ["Attention", "FeedFoward"]}
    with pytest.raises(ConfigError, match="FeedFoward"):
        attach_lycoris(random_omnigen(), document(apply_preset=preset), ALIASES, seed=0)


def test_the_librarys_class_state_is_left_as_it_was() -> None:
    before = (LycorisNetwork.TARGET_REPLACE_MODULE, dict(LycorisNetwork.MODULE_ALGO_MAP), sorted(PRESET))
    attach_lycoris(random_omnigen(), document(), ALIASES, seed=0)
    assert (LycorisNetwork.TARGET_REPLACE_MODULE, dict(LycorisNetwork.MODULE_ALGO_MAP), sorted(PRESET)) == before


@pytest.mark.parametrize("fault", ["missing", "unexpected", "shape"])
def test_a_file_that_does_not_fit_is_refused(fault: str) -> None:
    adapter = attach_lycoris(random_omnigen(), document(), ALIASES, seed=0)
    tensors = adapter.tensors()
    name = "lycoris_layers_0_self_attn_to_q.lokr_w1"
    match fault:
        case "missing":
            del tensors[name]
        case "unexpected":
            tensors["lycoris_layers_9_self_attn_to_q.lokr_w1"] = tensors[name]
        case _:
            tensors[name] = torch.zeros(2, 2)
    with pytest.raises(DataError, match="does not fit"):
        adapter.load_tensors(tensors)


def test_tensors_come_back() -> None:
    adapter = attach_lycoris(random_omnigen(), document(), ALIASES, seed=0)
    changed = {name: tensor + 0.5 for name, tensor in adapter.tensors().items()}
    adapter.load_tensors(changed)
    assert all(torch.equal(adapter.tensors()[name], tensor) for name, tensor in changed.items())
