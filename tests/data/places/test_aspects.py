from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.data.entries import Refusal
from simpletuner.data.places.aspects import choose_aspect, chooses_aspect, nominal_sizes
from simpletuner.data.places.geometry import GeometrySpec, Size, WeightedAspect, bucket_of, place

SHAPES = (0.5, 0.67, 0.75, 1.0, 1.33, 1.5, 2.0)


def spec_of(crop_aspect: str, *shapes: float, **options: float) -> GeometrySpec:
    aspects = tuple(WeightedAspect(shape) for shape in shapes or SHAPES)
    return GeometrySpec(1024, crop=True, crop_aspect=crop_aspect, aspects=aspects, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("crop_aspect", ["square", "preserve"])
def test_squares_and_own_shapes_are_not_chosen(crop_aspect: str) -> None:
    assert choose_aspect(Size(1500, 1000), spec_of(crop_aspect), 1, "set", "x.png", 0) is None
    assert not chooses_aspect(spec_of(crop_aspect))


@pytest.mark.parametrize("crop_aspect", ["closest", "random"])
def test_without_a_crop_there_is_no_crop_aspect(crop_aspect: str) -> None:
    spec = replace(spec_of(crop_aspect), crop=False)
    assert choose_aspect(Size(1500, 1000), spec, 1) is None
    assert not chooses_aspect(spec)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (Size(1500, 1000), 1.5),
        (Size(1000, 1500), 0.67),
        (Size(3000, 1000), 2.0),
        (Size(1000, 9000), 0.5),
        (Size(1000, 1001), 1.0),
        (Size(1420, 1000), 1.5),
        (Size(1400, 1000), 1.33),
    ],
)
def test_the_closest_shape(size: Size, expected: float) -> None:
    assert choose_aspect(size, spec_of("closest")) == expected


def test_distance_is_that_of_shapes_not_of_numbers_and_the_first_of_equals_wins() -> None:
    assert choose_aspect(Size(1000, 1000), spec_of("closest", 0.5, 1.9)) == 1.9
    assert choose_aspect(Size(1000, 1000), spec_of("closest", 0.5, 1.6)) == 1.6, "0.5 is nearer as a number"
    assert choose_aspect(Size(1000, 1000), spec_of("closest", 0.5, 2.0)) == 0.5
    assert choose_aspect(Size(1000, 1000), spec_of("closest", 2.0, 0.5)) == 2.0
    assert choose_aspect(Size(3000, 1000), spec_of("closest", 1.5, 6.0)) == 1.5, "equal but for binary fractions"


@given(st.integers(1, 9000), st.integers(1, 9000), st.lists(st.floats(0.1, 10), min_size=1, max_size=8))
def test_no_shape_is_closer_than_the_closest(width: int, height: int, shapes: list[float]) -> None:
    chosen = choose_aspect(Size(width, height), spec_of("closest", *shapes))
    assert isinstance(chosen, float)
    own = math.log(width / height)
    assert abs(math.log(chosen) - own) <= min(abs(math.log(shape) - own) for shape in shapes) + 1e-8


def test_a_draw_depends_on_its_key_alone_and_on_all_of_it() -> None:
    spec, size = spec_of("random"), Size(1500, 1000)
    keys = [(seed, name, path, epoch) for seed in (1, 2) for name in "ab" for path in "xyz" for epoch in range(9)]
    drawn = [choose_aspect(size, spec, *key) for key in keys]
    assert [choose_aspect(Size(9, 9), spec, *key) for key in keys] == drawn, "not on the picture's size"
    for place_in_key in range(4):
        others = [(*key[:place_in_key], "other", *key[place_in_key + 1 :]) for key in keys]
        assert [choose_aspect(size, spec, *key) for key in others] != drawn


def test_draws_follow_the_weights() -> None:
    weights = {0.5: 1.0, 1.0: 2.0, 2.0: 5.0}
    spec = replace(spec_of("random"), aspects=tuple(WeightedAspect(*pair) for pair in weights.items()))
    draws = 4000
    counts = Counter(choose_aspect(Size(900, 900), spec, 42, "set", "x.png", epoch) for epoch in range(draws))
    assert set(counts) == set(weights)
    expected = {shape: draws * weight / 8 for shape, weight in weights.items()}
    distance = sum((counts[shape] - count) ** 2 / count for shape, count in expected.items())
    assert distance < 13.8, "chi-squared with 2 degrees of freedom exceeds it once in a thousand seeds"


@pytest.mark.parametrize("crop_aspect", ["closest", "random"])
def test_the_documents_threshold(crop_aspect: str) -> None:
    """SPEC 3.6.6: at 0.2, a picture of 850x850 keeps every candidate at 1024, one of 256x256 none."""
    spec = spec_of(crop_aspect, max_upscale=0.2)
    drawn = {choose_aspect(Size(850, 850), spec, 1, "set", "x.png", epoch) for epoch in range(300)}
    assert drawn == ({1.0} if crop_aspect == "closest" else set(SHAPES))
    refusal = choose_aspect(Size(256, 256), spec, 1, "set", "x.png", 0)
    assert isinstance(refusal, Refusal)
    assert refusal.reason.startswith("needs more enlargement than max_upscale_threshold 0.2: 256x256 would be")
    assert refusal.cure


def test_shapes_that_need_too_much_enlargement_are_no_candidates() -> None:
    """896x1152, the bucket of 0.75, is smaller than the other: the one shape that fits is neither closest nor drawn."""
    size = Size(1280, 700)
    spec = spec_of("closest", 0.75, 1.5, max_upscale=0.07)
    areas = [bucket_of(size, spec, shape)[1] for shape in (0.75, 1.5)]
    assert areas[0].width * areas[0].height < areas[1].width * areas[1].height
    assert choose_aspect(size, replace(spec, max_upscale=None)) == 1.5
    assert choose_aspect(size, spec) == 0.75
    drawing = replace(spec, crop_aspect="random")
    assert {choose_aspect(size, drawing, epoch) for epoch in range(30)} == {0.75}


@pytest.mark.parametrize("crop_aspect", ["closest", "random"])
def test_shapes_beyond_the_limits_are_no_candidates(crop_aspect: str) -> None:
    size, spec = Size(1000, 1000), spec_of(crop_aspect, 0.5, 1.0, 3.0)
    bounded = replace(spec, minimum_aspect=0.9)
    edges = {"1.0": Size(2048, 2048)}
    draws = range(60)
    assert {choose_aspect(size, bounded, epoch, maximum_edge=1500) for epoch in draws} == {1.0}
    assert {choose_aspect(Size(100, 300), bounded, epoch, maximum_edge=1500) for epoch in draws} == {1.0}
    found = {
        choose_aspect(size, replace(spec, maximum_aspect=2.0), epoch, known=edges, maximum_edge=1500) for epoch in draws
    }
    assert found == {0.5}, "the map makes 1.0 too large"


def test_when_no_shape_is_left_the_draw_does_not_decide_why() -> None:
    spec = spec_of("random", 0.5, 1.0, minimum_aspect=1.5)
    refusals = {choose_aspect(Size(900, 900), spec, epoch) for epoch in range(30)}
    (refusal,) = refusals
    assert isinstance(refusal, Refusal)
    assert refusal.reason.startswith("below minimum_aspect_ratio 1.5")
    refusal = choose_aspect(Size(900, 900), spec_of("random", 0.5, 1.0), 1, maximum_edge=512)
    assert isinstance(refusal, Refusal)
    assert "the model takes 512 pixels" in refusal.reason


def test_a_map_of_the_users_decides_how_much_a_shape_enlarges() -> None:
    spec = spec_of("closest", 1.0, max_upscale=0.2)
    assert isinstance(choose_aspect(Size(512, 512), spec), Refusal)
    assert choose_aspect(Size(512, 512), spec, known={"1.0": Size(512, 512)}) == 1.0


def test_one_key_has_one_size_whatever_is_drawn() -> None:
    spec = spec_of("random", 0.23, 0.22, 1.0)
    assert bucket_of(Size(1, 1), spec, 0.23) == ("0.24", Size(512, 2112))
    assert bucket_of(Size(1, 1), spec, 0.22) == ("0.24", Size(512, 2176)), "alone they would clash"
    assert nominal_sizes(spec) == {"0.24": Size(512, 2112), "1.0": Size(1024, 1024)}


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=8), st.integers(1, 2))
def test_nominal_sizes_are_complete_and_the_first_with_a_key_wins(shapes: list[float], rounding: int) -> None:
    spec = replace(spec_of("random", *shapes), rounding=rounding)
    sizes = nominal_sizes(spec)
    first: dict[str, Size] = {}
    for shape in shapes:
        key, size = bucket_of(Size(700, 900), spec, shape)
        first.setdefault(key, size)
        assert place(700, 900, spec, sizes, shape).target == first[key]
    assert sizes == first


def test_nominal_sizes_begin_with_the_users_map() -> None:
    mapped = {"1.54": Size(1216, 832), "9.0": Size(3072, 320)}
    assert nominal_sizes(spec_of("random", 1.0, 1.5), mapped) == {**mapped, "1.0": Size(1024, 1024)}
