from __future__ import annotations

import pytest
import torch

from simpletuner.adapters.export.effect import weight_with
from simpletuner.adapters.export.fused import fuse, split
from simpletuner.adapters.export.layers import Leaves
from simpletuner.core.errors import ConfigError

PARTS = (("q", 6), ("k", 2), ("v", 4))


def lora(rows: int, rank: int, alpha: float, seed: int) -> Leaves:
    draws = torch.Generator().manual_seed(seed)
    up, down = torch.randn(rows, rank, generator=draws), torch.randn(rank, 5, generator=draws)
    return {"lora_up.weight": up, "lora_down.weight": down, "alpha": torch.tensor(alpha)}


def delta(leaves: Leaves, rows: int) -> torch.Tensor:
    return weight_with(torch.zeros(rows, 5), leaves)


def test_parts_of_different_rank_and_size_become_one_layer_and_come_back() -> None:
    layers = {"q": lora(6, 2, 1.0, 1), "v": lora(4, 4, 2.0, 2)}
    whole = fuse(layers, PARTS)
    wanted = torch.cat((delta(layers["q"], 6), torch.zeros(2, 5), delta(layers["v"], 4)))
    assert torch.allclose(delta(whole, 12), wanted, atol=1e-6)
    back = split(whole, PARTS, {"q": 2, "v": 4})
    assert back.keys() == layers.keys()
    assert all(torch.equal(back[path][leaf], layers[path][leaf]) for path in layers for leaf in layers[path])


def test_other_methods_and_other_scales_are_refused() -> None:
    kron = {"lokr_w1": torch.ones(1, 1), "lokr_w2": torch.ones(2, 5)}
    with pytest.raises(ConfigError, match="k is part of a fused layer"):
        fuse({"q": lora(6, 2, 1.0, 1), "k": kron}, PARTS)
    with pytest.raises(ConfigError, match="differ in alpha / rank"):
        fuse({"q": lora(6, 2, 1.0, 1), "k": lora(2, 2, 3.0, 2)}, PARTS)
