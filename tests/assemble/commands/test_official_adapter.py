from __future__ import annotations

import pytest
import torch

from simpletuner.adapters.export.layers import Layers
from simpletuner.assemble.commands.official_adapter import fused_layers, parts_of
from simpletuner.core.errors import ConfigError
from simpletuner.models.official import Whole

WHOLES = (Whole("qkv", (("q", 4), ("k", 4))), Whole("mlp", (("down", 4),)))


def lora() -> dict[str, torch.Tensor]:
    return {"lora_up.weight": torch.randn(4, 2), "lora_down.weight": torch.randn(2, 4), "alpha": torch.tensor(1.0)}


@pytest.mark.parametrize("adapted", [("q", "k", "down"), ("k",), ("down",)])
def test_layers_go_there_and_back(adapted: tuple[str, ...]) -> None:
    layers: Layers = {path: lora() for path in adapted}
    fused = fused_layers(layers, WHOLES)
    assert set(fused) == {"qkv" for path in adapted if path != "down"} | {"mlp" for path in adapted if path == "down"}
    back = parts_of(fused, WHOLES, layers)
    assert back.keys() == layers.keys()
    assert all(torch.equal(back[path][leaf], layers[path][leaf]) for path in layers for leaf in layers[path])


def test_a_layer_that_the_package_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigError, match="proj_out is in no block"):
        fused_layers({"proj_out": lora()}, WHOLES)
