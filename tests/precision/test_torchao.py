"""torchao's numbers and torchao's products: what is stored here is what its own layer computes with."""

from __future__ import annotations

import pytest
import torch
import torchao.quantization as ao
from torch import Tensor, nn
from torchao.quantization.granularity import PerGroup

from simpletuner.precision.stored import StoredWeight
from simpletuner.precision.torchao import store

FOUR = {"weight_dtype": torch.int4}
CONFIGS = {
    "int8-torchao": ao.Int8WeightOnlyConfig(set_inductor_config=False),
    "int8dq-torchao": ao.Int8DynamicActivationInt8WeightConfig(set_inductor_config=False),
    "fp8wo-torchao": ao.Float8WeightOnlyConfig(set_inductor_config=False),
    "int4-torchao": ao.IntxWeightOnlyConfig(granularity=PerGroup(32), **FOUR),
    "int8dq-int4-torchao": ao.Int8DynamicActivationIntxWeightConfig(weight_granularity=PerGroup(32), **FOUR),
}
WEIGHT = torch.randn(96, 704, generator=torch.Generator().manual_seed(1))
INPUTS = torch.randn(2, 5, 704, generator=torch.Generator().manual_seed(2))


def relative(given: Tensor, wanted: Tensor) -> float:
    return float((given - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("preset", list(CONFIGS))
def test_numbers_and_products_are_those_of_torchaos_layer(preset: str) -> None:
    theirs = nn.Linear(704, 96, bias=False)
    theirs.weight = nn.Parameter(WEIGHT.clone(), requires_grad=False)
    ao.quantize_(theirs, CONFIGS[preset])
    ours = store(WEIGHT, preset)
    torch.testing.assert_close(ours.dense(torch.float32), theirs.weight.dequantize())
    torch.testing.assert_close(ours.forward_product(INPUTS), theirs(INPUTS), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("preset", "least", "most"),
    [
        ("int8dq-torchao", 0.003, 0.012),
        ("int8dq-int4-torchao", 0.003, 0.012),
        ("fp8-torchao", 0.015, 0.03),
        ("fp8-native", 0.015, 0.03),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_inputs_are_rounded(preset: str, least: float, most: float, dtype: torch.dtype) -> None:
    stored = store(WEIGHT, preset)
    for inputs in (INPUTS.to(dtype), INPUTS[0, :1].to(dtype)):
        exact = StoredWeight.forward_product(stored, inputs.float())
        given = stored.forward_product(inputs)
        assert given.dtype == dtype
        assert least < relative(given.float(), exact) < most


def test_a_scale_for_each_row_keeps_rows_of_other_sizes() -> None:
    uneven = WEIGHT * torch.logspace(-6, 0, 96)[:, None]
    small = [
        relative(store(uneven, preset).dense(torch.float32)[:8], uneven[:8]) for preset in ("fp8-native", "fp8-torchao")
    ]
    assert small[0] < 0.03 < small[1]


def test_int4_takes_four_bits() -> None:
    for preset in ("int4-torchao", "int8dq-int4-torchao"):
        assert store(WEIGHT, preset).get_buffer("packed").nbytes == WEIGHT.numel() // 2


def test_a_row_that_32_does_not_divide_is_one_group() -> None:
    stored = store(WEIGHT[:, :50].contiguous(), "int8dq-int4-torchao")
    assert stored.get_buffer("scale").shape == (96, 1)
    assert stored.forward_product(INPUTS[..., :50]).shape == (2, 5, 96)


def test_inductor_keeps_its_settings() -> None:
    before = torch._inductor.config.save_config_portable()
    for preset in (*CONFIGS, "fp8-torchao", "fp8-native"):
        store(WEIGHT, preset)
    assert torch._inductor.config.save_config_portable() == before
