"""Number formats: what the document asks for, on a GPU and on a CPU."""

from __future__ import annotations

import pytest
import torch

from simpletuner.assemble.hardware import resolve_precision, set_arithmetic
from simpletuner.config.sections.model import ModelConfig
from simpletuner.config.sections.precision import PrecisionConfig
from simpletuner.config.sections.speed import SpeedConfig

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
FP32, BF16 = torch.float32, torch.bfloat16
FROZEN = PrecisionConfig()


def model(kind: str = "lora", mixed: str = "bf16") -> ModelConfig:
    return ModelConfig.model_validate({"model_type": kind, "model_family": "omnigen", "mixed_precision": mixed})


def test_the_documents_recipe_on_a_gpu_is_bf16_throughout() -> None:
    precision = resolve_precision(model(), FROZEN, "adamw_bf16", CUDA, bf16_adapter=False)
    assert (precision.base, precision.adapter, precision.vae) == (BF16, BF16, BF16)
    assert precision.notices == ()


def test_on_a_cpu_it_is_fp32_and_says_so_once() -> None:
    precision = resolve_precision(model(), FROZEN, "adamw_bf16", CPU, bf16_adapter=False)
    assert (precision.base, precision.adapter, precision.vae) == (FP32, FP32, FP32)
    assert len(precision.notices) == 1
    assert "fp32" in precision.notices[0]


@pytest.mark.parametrize(("optimizer", "adapter"), [("adamw_bf16", BF16), ("torch-adamw", FP32)])
def test_a_bf16_adapter_stays_reachable_on_a_cpu(optimizer: str, adapter: torch.dtype) -> None:
    assert resolve_precision(model(), FROZEN, optimizer, CPU, bf16_adapter=True).adapter == adapter


def test_full_training_keeps_fp32_weights_and_computes_in_bf16_on_a_gpu() -> None:
    precision = resolve_precision(model("full"), FROZEN, "torch-adamw", CUDA, bf16_adapter=False)
    assert (precision.base, precision.autocast) == (FP32, BF16)
    assert resolve_precision(model(), FROZEN, "torch-adamw", CUDA, bf16_adapter=False).autocast is None


def test_no_mixed_precision_is_fp32_everywhere() -> None:
    precision = resolve_precision(model(mixed="no"), FROZEN, "adamw_bf16", CUDA, bf16_adapter=False)
    assert (precision.base, precision.adapter, precision.vae) == (FP32, FP32, FP32)


def test_torch_has_the_threads_that_are_asked_for() -> None:
    before = torch.get_num_threads()
    try:
        set_arithmetic(SpeedConfig(torch_num_threads=3), CPU)
        assert torch.get_num_threads() == 3
        set_arithmetic(SpeedConfig(), CPU)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.gpu
@pytest.mark.parametrize("exact", [False, True])
def test_fp32_products_are_rounded_to_tf32_on_cuda_unless_that_is_disabled(exact: bool) -> None:
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.randn(256, 256, generator=generator) for _ in range(2))
    try:
        set_arithmetic(SpeedConfig(disable_tf32=exact), CUDA)
        product = (one.to(CUDA) @ other.to(CUDA)).cpu()
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]
    worst = (product - one.double() @ other.double()).abs().max().item()
    assert (worst < 1e-4) == exact
