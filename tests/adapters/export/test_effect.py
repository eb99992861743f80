"""What a viewer makes of a file, against what LyCORIS and PEFT make of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from simpletuner.adapters.export.effect import weight_with
from simpletuner.adapters.export.layers import layers_of
from simpletuner.assemble.commands.adapted_model import adapted, read_adapter
from simpletuner.core.errors import DataError
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.layers import TINY_FOLDER
from tests.adapters.export.files import DOCUMENT, LOHA, LOKR, LORA, STANDARD, adapter_file

PATHS = ("layers.0.self_attn.to_k", "layers.7.mlp.gate_up_proj", "layers.3.mlp.down_proj")
CASES = {
    "standard": STANDARD,
    "lora": LORA,
    "a scalar": LORA | {"use_scalar": True},
    "loha": LOHA,
    "whole lokr": DOCUMENT,
    "lokr by rank": LOKR | {"linear_dim": 2, "factor": 4},
    "both by rank": LOKR | {"linear_dim": 2, "factor": 16, "decompose_both": True},
    "dora by rows": LORA | {"dora_wd": True, "wd_on_output": True},
    "dora by columns": LOKR | {"dora_wd": True, "wd_on_output": False},
    "full": {"algo": "full", "linear_dim": 1},
    "dylora": {"algo": "dylora", "linear_dim": 4, "block_size": 2},
}


@pytest.mark.parametrize("case", CASES)
def test_the_weight_is_the_one_that_the_trained_layer_has(tmp_path: Path, case: str) -> None:
    family, file = OmniGen(), read_adapter(adapter_file(tmp_path, CASES[case]))
    base = family.load_denoiser(TINY_FOLDER, torch.float32)
    layers = layers_of(file, {shape.path for shape in family.linears(base)})
    model = adapted(family, family.load_denoiser(TINY_FOLDER, torch.float32), file)
    model.adapter.eval()
    for path in PATHS:
        weight = base.get_submodule(path).get_parameter("weight")
        inputs = torch.randn(3, weight.shape[1], generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            wanted = model.denoiser.get_submodule(path)(inputs)
            found = inputs @ weight_with(weight, layers[path]).T
        assert torch.allclose(found, wanted, atol=1e-5), path
        assert not torch.allclose(found, inputs @ weight.T, atol=1e-3), path


def test_a_delta_of_another_shape_and_an_unknown_method_are_refused() -> None:
    leaves = {"lora_up.weight": torch.ones(4, 1), "lora_down.weight": torch.ones(1, 4), "alpha": torch.tensor(1.0)}
    assert torch.equal(weight_with(torch.zeros(4, 4), leaves), torch.ones(4, 4))
    with pytest.raises(DataError, match=r"\(4, 4\) does not fit a weight of \(4, 6\)"):
        weight_with(torch.zeros(4, 6), leaves)
    with pytest.raises(DataError, match="no viewer adds"):
        weight_with(torch.zeros(4, 4), {"on_input": torch.ones(1)})
