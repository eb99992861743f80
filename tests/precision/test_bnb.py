"""nf4 as bitsandbytes has it: the same numbers as its own layer with doubly quantised scales."""

from __future__ import annotations

import pytest
import torch
from bitsandbytes.functional import dequantize_4bit, quantize_4bit

from simpletuner.precision.bnb import store

WEIGHT = torch.randn(96, 704, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_numbers_are_bitsandbytes(dtype: torch.dtype) -> None:
    numbers, state = quantize_4bit(WEIGHT.to(dtype), quant_type="nf4", compress_statistics=True)
    stored = store(WEIGHT.to(dtype), "nf4-bnb")
    assert torch.equal(stored.dense(dtype), dequantize_4bit(numbers, state))
    stored.to(torch.float16)
    assert torch.equal(stored.dense(dtype), dequantize_4bit(numbers, state))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("lead", [(1,), (5,), (2, 7)])
def test_products_in_the_type_of_their_argument(dtype: torch.dtype, lead: tuple[int, ...]) -> None:
    stored = store(WEIGHT, "nf4-bnb")
    dense = stored.dense(torch.float32)
    inputs, gradient = torch.randn(*lead, 704, dtype=dtype), torch.randn(*lead, 96, dtype=dtype)
    forward, backward = stored.forward_product(inputs), stored.backward_product(gradient)
    assert (forward.dtype, backward.dtype) == (dtype, dtype)
    close = {"atol": 1e-3, "rtol": 1e-3} if dtype == torch.float32 else {"atol": 0.6, "rtol": 0.02}
    torch.testing.assert_close(forward.float(), inputs.float() @ dense.T, **close)
    torch.testing.assert_close(backward.float(), gradient.float() @ dense, **close)


def test_four_bits_and_an_eighth() -> None:
    stored = store(torch.randn(256, 3072), "nf4-bnb")
    assert 4.127 <= stored.stored_bytes * 8 / (256 * 3072) < 4.15
