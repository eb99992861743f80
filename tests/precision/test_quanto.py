"""Quanto's numbers, bit for bit: what is stored here is what quanto's own layer computes with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from optimum.quanto import QLinear, qfloat8_e4m3fn, qfloat8_e4m3fnuz, qint2, qint4, qint8
from optimum.quanto.library.extensions import get_extension
from torch import Tensor, nn

from simpletuner.precision.quanto import store

KINDS = {
    "int8-quanto": qint8,
    "int4-quanto": qint4,
    "int2-quanto": qint2,
    "fp8-quanto": qfloat8_e4m3fn,
    "fp8uz-quanto": qfloat8_e4m3fnuz,
}

# To unpack these, quanto's own tensor compiles C++.
BUILDS = pytest.mark.needs("g++")


def weight(columns: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(64, columns, generator=torch.Generator().manual_seed(1)).to(dtype)


def of_quanto(dense: Tensor, preset: str) -> QLinear:
    layer = nn.Linear(dense.shape[1], dense.shape[0], bias=False)
    layer.weight = nn.Parameter(dense, requires_grad=False)
    theirs = QLinear.from_module(layer, weights=KINDS[preset])
    theirs.freeze()
    return theirs


@pytest.mark.parametrize(
    "preset", [pytest.param(name, marks=BUILDS if "int4" in name or "int2" in name else ()) for name in KINDS]
)
@pytest.mark.parametrize("columns", [64, 128, 256, 704, 3072])
def test_the_numbers_are_those_of_quantos_layer(preset: str, columns: int) -> None:
    dense = weight(columns)
    theirs = of_quanto(dense, preset)
    ours = store(dense, preset)
    assert torch.equal(ours.dense(torch.float32), theirs.weight.dequantize())
    inputs = torch.randn(3, columns)
    torch.testing.assert_close(ours.forward_product(inputs), theirs(inputs), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("preset", list(KINDS))
def test_nothing_is_compiled(preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = tmp_path / "build"
    compiled = get_extension("quanto_cpp")
    monkeypatch.setattr(compiled, "_lib", None)
    monkeypatch.setattr(compiled, "build_directory", str(build))
    store(weight(256), preset)
    assert not build.exists()


@pytest.mark.parametrize("preset", ["int4-quanto", "int2-quanto"])
def test_the_groups_of_a_bf16_weight(preset: str) -> None:
    stored = store(weight(704, torch.bfloat16), preset)
    assert stored.get_buffer("scale").shape == (64 * 704 // 64, 1)
    assert {stored.get_buffer(name).dtype for name in ("scale", "shift")} == {torch.bfloat16}


@pytest.mark.parametrize("preset", ["int8-quanto", "fp8-quanto"])
def test_scales_of_a_bf16_weight_are_not_rounded(preset: str) -> None:
    dense = weight(256, torch.bfloat16)
    stored = store(dense, preset)
    assert stored.get_buffer("scale").dtype == torch.float32
    assert torch.equal(stored.dense(torch.float32), store(dense.float(), preset).dense(torch.float32))
