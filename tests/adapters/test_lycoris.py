"""LoKr on a real OmniGen: which layers, which names, what strength, and nothing left behind in the library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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


PLAIN = {"multiplier": 1.0, "linear_dim": 4, "linear_alpha": 1, "apply_preset": {"target_module": ["Attention"]}}


def plain(**changes: Any) -> LycorisConfig:
    return parse_lycoris(PLAIN | changes, DOCUMENT)


@pytest.mark.parametrize(
    "changes",
    [
        *({"algo": algo} for algo in ("lora", "locon", "loha", "lokr", "diag-oft", "boft", "glora", "ia3")),
        *({"algo": algo, "dora_wd": True} for algo in ("lora", "loha", "lokr")),
        *({"algo": algo, "bypass_mode": True, "dropout": 0.1} for algo in ("lora", "loha", "lokr", "glora")),
        {"algo": "lokr", "linear_dim": 2, "decompose_both": True},
        {"algo": "diag-oft", "constraint": 0.1, "rescaled": True},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_every_method_that_is_offered_trains_and_comes_back_exactly(changes: dict[str, Any]) -> None:
    states = torch.randn(2, 5, 64, generator=torch.Generator().manual_seed(0))
    first, second = (random_omnigen().requires_grad_(requires_grad=False) for _ in range(2))
    trained = attach_lycoris(first, plain(**changes), ALIASES, seed=0).train()
    base = first.layers[0].self_attn.to_q(states)
    optimizer = torch.optim.AdamW(trained.parameters(), lr=1e-2)
    for _ in range(2):
        first.layers[0].self_attn.to_q(states).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    trained.eval()
    result = first.layers[0].self_attn.to_q(states)
    assert not torch.allclose(result, base, atol=1e-5)
    resumed = attach_lycoris(second, plain(**changes), ALIASES, seed=1).eval()
    resumed.load_tensors({name: tensor.clone() for name, tensor in trained.tensors().items()})
    values = dict(resumed.named_parameters())
    assert all(torch.equal(values[name], parameter) for name, parameter in trained.named_parameters())
    assert torch.equal(second.layers[0].self_attn.to_q(states), result)


@pytest.mark.parametrize(
    "changes",
    [
        {"algo": "lokr"},
        {"algo": "lokr", "dora_wd": True},
        {"algo": "diag-oft", "rescaled": True},
        {"algo": "ia3"},
        {"algo": "boft"},
    ],
)
def test_strength_zero_is_the_base_model_whatever_the_method_and_nests(changes: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model, states = random_omnigen(), torch.randn(2, 5, 64)
    linear = model.layers[0].self_attn.to_q
    base = linear(states)
    adapter = attach_lycoris(model, plain(**changes), ALIASES, seed=0)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    full = linear(states)
    with adapter.strength(0.0):
        assert torch.equal(linear(states), base)
        with adapter.strength(1.0):
            assert torch.equal(linear(states), full)
        with adapter.strength(0.0):
            assert torch.equal(linear(states), base)
        assert torch.equal(linear(states), base)
    assert torch.equal(linear(states), full)
    assert not torch.allclose(full, base)


def heeded(config: LycorisConfig) -> bool:
    """Whether two passes in training differ: something was dropped."""
    torch.manual_seed(0)
    model = random_omnigen()
    adapter = attach_lycoris(model, config, ALIASES, seed=0).train()
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(0.1)
    states = torch.ones(2, 5, 64)
    first, *others = (model.layers[0].self_attn.to_q(states) for _ in range(4))
    return any(not torch.equal(first, other) for other in others)


@pytest.mark.parametrize("algo", ["lora", "loha", "lokr", "glora"])
def test_dropout_that_is_accepted_drops(algo: str) -> None:
    assert heeded(plain(algo=algo, dropout=0.5, bypass_mode=True))


@pytest.mark.parametrize("algo", ["lora", "loha", "lokr", "diag-oft"])
def test_rank_dropout_that_is_accepted_drops(algo: str) -> None:
    assert heeded(plain(algo=algo, rank_dropout=0.5))


@pytest.mark.parametrize(
    ("changes", "branches"),
    [
        ({}, {"Attention": True, "FeedForward": True}),
        ({"rank_dropout": 0.1}, {"Attention": False, "FeedForward": False}),
        ({"dora_wd": True}, {"Attention": False, "FeedForward": False}),
        ({"bypass_mode": False}, {"Attention": False, "FeedForward": False}),
        ({"own": {"algo": "loha"}}, {"Attention": True, "FeedForward": False}),
        ({"own": {"algo": "diag-oft"}}, {"Attention": True, "FeedForward": False}),
        ({"own": {"bypass_mode": False}}, {"Attention": True, "FeedForward": False}),
        ({"algo": "lora", "own": {"algo": "lokr"}}, {"Attention": False, "FeedForward": True}),
    ],
)
def test_which_layers_run_as_a_branch(changes: dict[str, Any], branches: dict[str, bool]) -> None:
    own = changes.pop("own", {})
    preset = {"target_module": ["Attention"], "module_algo_map": {"FeedForward": own}}
    adapter = attach_lycoris(random_omnigen(), plain(**{"algo": "lokr"} | changes, apply_preset=preset), ALIASES, 0)
    found = {"mlp" in layer.lora_name: bool(layer.bypass_mode) for layer in adapter.network.loras}
    assert found == {False: branches["Attention"], True: branches["FeedForward"]}


def test_a_pattern_that_fits_no_path_is_refused() -> None:
    preset = {"target_module": ["Attention"]}
    attach_lycoris(random_omnigen(), plain(apply_preset=preset | {"exclude_name": ["layers.0"]}), ALIASES, seed=0)
    with pytest.raises(ConfigError, match=r"exclude_name: .*'layers\.7'"):
        attach_lycoris(random_omnigen(), plain(apply_preset=preset | {"exclude_name": ["layers.7"]}), ALIASES, seed=0)
