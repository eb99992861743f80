from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from simpletuner.adapters.lycoris.adapter import LycorisAdapter, attach_lycoris
from simpletuner.adapters.lycoris.perturbed import perturb, perturb_lokr
from simpletuner.core.errors import ConfigError
from tests.adapters.lycoris.test_adapter import ALIASES, plain
from tests.adapters.lycoris.test_settled import quantised
from tests.models.omnigen.tiny_model import random_omnigen

WHOLE = {"algo": "lokr", "linear_dim": 10000, "factor": 4}


def laid(**changes: Any) -> tuple[nn.Module, LycorisAdapter]:
    model = random_omnigen().requires_grad_(requires_grad=False)
    return model, attach_lycoris(model, plain(**WHOLE | changes), ALIASES, seed=0)


def second_factors(adapter: LycorisAdapter) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in adapter.tensors().items() if name.endswith("lokr_w2")}


def test_the_delta_has_the_mean_and_the_spread_of_the_weight() -> None:
    weight = 0.3 + 0.1 * torch.randn(512, 512, generator=torch.Generator().manual_seed(0))
    w1, w2 = torch.zeros(4, 4), torch.zeros(128, 128)
    perturb(w1, w2, weight, 0.001, torch.Generator().manual_seed(1))
    delta = torch.kron(w1, w2)
    assert delta.mean().item() == pytest.approx(0.3e-3, rel=0.05)
    assert delta.std().item() == pytest.approx(0.1e-3, rel=0.05)


def test_every_layer_is_perturbed_a_little_by_draws_of_its_own() -> None:
    model, adapter = laid()
    states = torch.randn(2, 5, 64)
    base = model.layers[0].self_attn.to_q(states)
    assert perturb_lokr(adapter.layers, model, 0.01, seed=7) == ()
    change = (model.layers[0].self_attn.to_q(states) - base).norm() / base.norm()
    assert 0.001 < change < 0.1
    factors = list(second_factors(adapter).values())
    assert len({tuple(factor.flatten().tolist()) for factor in factors}) == len(factors) == 8


def test_the_draws_depend_on_seed_and_path_alone() -> None:
    found = []
    for seed, preset in ((7, {"target_module": ["Attention"]}), (7, {"target_name": [".*to_q"]}), (8, {})):
        model, adapter = laid(apply_preset=preset)
        torch.randn(3)
        perturb_lokr(adapter.layers, model, 0.01, seed)
        found.append(second_factors(adapter)["lycoris_layers_1_self_attn_to_q.lokr_w2"])
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_other_methods_are_told_in_one_line_and_left_alone() -> None:
    preset = {"target_module": ["Attention"], "name_algo_map": {".*to_q": {"algo": "lora", "dim": 4}}}
    model, adapter = laid(apply_preset=preset)
    before = adapter.tensors()["lycoris_layers_0_self_attn_to_q.lora_up.weight"].clone()
    (line,) = perturb_lokr(adapter.layers, model, 0.01, seed=7)
    assert line == "init_lokr_norm is not read by 2 of 8 layers: it is for algo lokr"
    assert torch.equal(adapter.tensors()["lycoris_layers_0_self_attn_to_q.lora_up.weight"], before)


def test_a_decomposed_factor_is_refused() -> None:
    model, adapter = laid(linear_dim=2)
    with pytest.raises(ConfigError, match=r"init_lokr_norm: the LoKr at layers\.0\.self_attn\.to_q is decomposed"):
        perturb_lokr(adapter.layers, model, 0.01, seed=7)


def test_a_quantised_weight_is_followed_too() -> None:
    layer = quantised()
    holder = nn.ModuleDict({"to_q": layer})
    adapter = attach_lycoris(holder, plain(**WHOLE, apply_preset={}), ALIASES, seed=0)
    assert perturb_lokr(adapter.layers, holder, 0.01, seed=7) == ()
    spread = layer.stored.dense(torch.float32).std()
    assert second_factors(adapter)["lycoris_to_q.lokr_w2"].std().item() == pytest.approx(0.01 * spread.item(), rel=0.3)
