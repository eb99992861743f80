"""LoKr's arithmetic against the worked numbers and against LyCORIS itself."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lycoris.functional.general import factorization

from simpletuner.adapters.lokr.size import lokr_shape, split


def test_the_documents_recipe_on_the_real_model() -> None:
    attention = 4 * 32 * lokr_shape(3072, 3072, 16).parameters
    feed_forward = 32 * (lokr_shape(16384, 3072, 8).parameters + lokr_shape(3072, 8192, 8).parameters)
    assert (attention, feed_forward) == (4_751_360, 37_752_832)


def test_factor_25_is_a_smaller_adapter() -> None:
    shape = lokr_shape(3072, 3072, 25)
    assert (shape.w1, shape.w2, shape.parameters) == ((24, 24), (128, 128), 16_960)


@given(st.integers(1, 20_000), st.sampled_from([-1, 2, 4, 8, 10, 12, 16, 25, 32, 64]))
def test_the_factors_multiply_back_and_are_lycoris_own(dimension: int, factor: int) -> None:
    small, large = split(dimension, factor)
    assert small * large == dimension
    assert small <= large
    assert (small, large) == tuple(factorization(dimension, factor))


@pytest.mark.parametrize("edge", [256, 3072])
def test_a_larger_factor_is_smaller_until_the_square_root(edge: int) -> None:
    factors = [factor for factor in (2, 4, 8, 16, 32, 64) if factor <= math.isqrt(edge)]
    sizes = [lokr_shape(edge, edge, factor).parameters for factor in factors]
    assert sizes == sorted(sizes, reverse=True)
