from __future__ import annotations

import io
import time
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from simpletuner.data.report.alike import NEAR, Look, alike_groups, alike_pairs, looker

look = looker()


def scene(seed: int, size: tuple[int, int] = (300, 220)) -> Image.Image:
    """A smooth picture of its own."""
    grid = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC)


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


def made(number: int, colour: int = 128) -> Look:
    """A look of a given hash."""
    return number.to_bytes(8, "big") + bytes([colour] * 48)


@pytest.mark.parametrize("seed", range(5))
def test_a_copy_that_was_saved_scaled_or_brightened_is_alike(seed: int) -> None:
    image = scene(seed)
    copies = [
        as_jpeg(image, 30),
        image.resize((150, 110)),
        image.resize((900, 660)),
        ImageEnhance.Brightness(image).enhance(1.08),
    ]
    assert alike_groups([look(image), *map(look, copies)]) == [[0, 1, 2, 3, 4]]


def test_other_pictures_and_other_colours_are_not() -> None:
    assert alike_groups([look(scene(seed)) for seed in range(200)]) == []
    red, blue = (Image.merge("RGB", [scene(1).getchannel(band) for band in order]) for order in ("RGB", "BGR"))
    assert alike_groups([look(red), look(blue)]) == []


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (2000, 3), (64, 64)])
def test_any_size_has_a_look(size: tuple[int, int]) -> None:
    plain = Image.new("RGB", size, (10, 200, 30))
    assert len(look(plain)) == 56
    assert look(plain) == look(plain.copy())


def test_no_look_has_no_pair() -> None:
    assert list(alike_pairs([])) == []
    assert alike_groups([]) == []
    assert alike_groups([made(1)]) == []


@given(st.lists(st.integers(0, 2**64 - 1), max_size=8), st.lists(st.integers(0, 63), max_size=12))
def test_the_pairs_are_those_of_comparing_every_two(hashes: list[int], flips: list[int]) -> None:
    # Neighbours of the first, so that there is something to find.
    for bit in flips:
        hashes.append((hashes[-1] if hashes else 0) ^ (1 << bit))
    found = {
        (min(one, other), max(one, other), far)
        for left, right, distances in alike_pairs([made(number) for number in hashes])
        for one, other, far in zip(left.tolist(), right.tolist(), distances.tolist(), strict=True)
    }
    expected = {
        (one, other, (hashes[one] ^ hashes[other]).bit_count())
        for one, other in combinations(range(len(hashes)), 2)
        if (hashes[one] ^ hashes[other]).bit_count() <= NEAR
    }
    assert found == expected


def test_chains_are_one_group_and_the_largest_comes_first() -> None:
    chain = [made(0), made(0b1111), made(0b1111_1111)]
    pair = [made(2**63 - 1), made(2**63 - 3)]
    assert alike_groups([*pair, *chain]) == [[2, 3, 4], [0, 1]]
    assert alike_groups([made(0, 100), made(0, 133)]) == []


def test_thousands_of_equal_pictures_and_many_others_take_no_time() -> None:
    numbers = np.random.default_rng(1).integers(0, 2**63, 20_000).tolist()
    looks = [made(7)] * 2_000 + [made(number) for number in numbers]
    began = time.perf_counter()
    assert alike_groups(looks) == [list(range(2_000))]
    assert time.perf_counter() - began < 10
