from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.precision.stored import PackedWeight, ScaledWeight, StoredWeight, pack, unpack

WEIGHT = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))


def scaled() -> ScaledWeight:
    """int8 with a scale for each of six rows."""
    scale = WEIGHT.abs().amax(1, keepdim=True) / 127
    return ScaledWeight(WEIGHT, torch.round(WEIGHT / scale).to(torch.int8), scale)


def packed(*, shifted: bool) -> PackedWeight:
    """Four bits, groups of four."""
    groups = WEIGHT.reshape(12, 4)
    low = groups.amin(1, keepdim=True)
    scale = (groups.amax(1, keepdim=True) - low) / 15 if shifted else groups.abs().amax(1, keepdim=True) / 7
    numbers = torch.round((groups - low) / scale) if shifted else torch.round(groups / scale) + 8
    return PackedWeight(WEIGHT, numbers.to(torch.uint8), 4, scale, -low if shifted else None)


STORED = [scaled(), packed(shifted=True), packed(shifted=False)]


@given(st.integers(1, 5), st.integers(1, 6), st.sampled_from([2, 4]), st.integers(0, 2**32 - 1))
def test_packed_numbers_come_back(rows: int, bytes_in_row: int, bits: int, seed: int) -> None:
    shape = (rows, bytes_in_row * 8 // bits)
    numbers = torch.randint(0, 2**bits, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    assert pack(numbers, bits).shape == (rows, bytes_in_row)
    assert torch.equal(unpack(pack(numbers, bits), bits), numbers)


def test_a_row_fills_whole_bytes() -> None:
    with pytest.raises(ValueError, match="3 numbers of 4 bits do not fill whole bytes"):
        pack(torch.zeros(2, 3, dtype=torch.uint8), 4)


@pytest.mark.parametrize(("stored", "most"), list(zip(STORED, (0.004, 0.06, 0.08), strict=True)))
def test_the_weight_is_near_what_it_was(stored: StoredWeight, most: float) -> None:
    assert (stored.dense(torch.float32) - WEIGHT).abs().max() <= most * WEIGHT.abs().max()


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("lead", [(), (1,), (3,), (2, 3), (0,)])
def test_both_products_are_those_of_the_dense_weight(stored: StoredWeight, lead: tuple[int, ...]) -> None:
    dense = stored.dense(torch.float32)
    inputs, gradient = torch.randn(*lead, 8), torch.randn(*lead, 6)
    torch.testing.assert_close(stored.forward_product(inputs), inputs @ dense.T)
    torch.testing.assert_close(stored.backward_product(gradient), gradient @ dense)


@pytest.mark.parametrize("stored", STORED)
def test_products_are_in_the_type_of_their_argument(stored: StoredWeight) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        assert stored.forward_product(torch.randn(2, 8, dtype=dtype)).dtype == dtype
        assert stored.backward_product(torch.randn(2, 6, dtype=dtype)).dtype == dtype


def test_a_scale_is_not_rounded_to_the_type_of_the_product() -> None:
    # In bf16 the scale would be 1; times 127 that is one step of bf16 too little.
    stored = ScaledWeight(torch.ones(1, 1), torch.tensor([[127]], dtype=torch.int8), torch.tensor([1.0036]))
    one = torch.ones(1, 1, dtype=torch.bfloat16)
    for product in (stored.forward_product(one), stored.backward_product(one), stored.dense(torch.bfloat16)):
        assert (product.item(), product.dtype) == (127.5, torch.bfloat16)


def test_a_product_leaves_inputs_and_the_weight_as_they_were() -> None:
    stored, inputs, gradient = scaled(), torch.randn(2, 8), torch.randn(2, 6)
    before = [tensor.clone() for tensor in (stored.values, stored.scale, inputs, gradient)]
    stored.forward_product(inputs)
    stored.backward_product(gradient)
    assert all(map(torch.equal, before, (stored.values, stored.scale, inputs, gradient)))


@pytest.mark.parametrize("stored", STORED)
def test_no_type_is_cast_and_a_move_is_followed(stored: StoredWeight) -> None:
    before = {name: (buffer.dtype, buffer.clone()) for name, buffer in stored.named_buffers()}
    stored.to(torch.bfloat16).half().float().double()
    for name, buffer in stored.named_buffers():
        assert buffer.dtype == before[name][0]
        assert torch.equal(buffer, before[name][1])
    assert stored.to("meta").device.type == "meta"
    assert {name: buffer.dtype for name, buffer in stored.named_buffers()} == {
        name: dtype for name, (dtype, _) in before.items()
    }


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e4m3fnuz])
def test_float8_stays_float8(dtype: torch.dtype) -> None:
    stored = ScaledWeight(WEIGHT, WEIGHT.to(dtype), torch.ones(6))
    assert stored.to(torch.float32).values.dtype == dtype


def test_bytes_are_counted_with_scales() -> None:
    assert scaled().stored_bytes == 6 * 8 + 6 * 4
    assert packed(shifted=False).stored_bytes == 6 * 4 + 12 * 4
    assert packed(shifted=True).stored_bytes == 6 * 4 + 12 * 4 * 2


def test_buffers_survive_a_state_dict() -> None:
    first, second = packed(shifted=True), packed(shifted=True)
    second.packed.zero_()
    second.load_state_dict(first.state_dict())
    assert torch.equal(second.dense(torch.float32), first.dense(torch.float32))
