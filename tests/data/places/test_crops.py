from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.data.places.crops import Crop, CropStyle, plan_crop
from simpletuner.data.places.geometry import GeometrySpec, place

SEED_EXAMPLE = place(1500, 1000, GeometrySpec(512, crop=True))
SIZES = st.integers(64, 4000)


def test_the_documents_centre_crop() -> None:
    assert plan_crop(SEED_EXAMPLE, "center") == Crop(128, 0)
    assert plan_crop(place(1000, 1501, GeometrySpec(512, crop=True)), "center") == Crop(0, 128)


def test_corner_is_the_top_left() -> None:
    assert plan_crop(SEED_EXAMPLE, "corner") == Crop(0, 0)


@given(SIZES, SIZES, st.integers(0, 99), st.text(max_size=20))
def test_a_random_window_lies_inside_and_depends_on_its_key_alone(
    width: int, height: int, seed: int, path: str
) -> None:
    placement = place(width, height, GeometrySpec(512, crop=True))
    crop = plan_crop(placement, "random", seed, "set", path)
    assert 0 <= crop.left <= placement.intermediary.width - placement.target.width
    assert 0 <= crop.top <= placement.intermediary.height - placement.target.height
    assert plan_crop(placement, "random", seed, "set", path) == crop


def test_random_windows_spread_over_the_whole_range() -> None:
    lefts = {plan_crop(SEED_EXAMPLE, "random", 42, "set", f"{number}.png").left for number in range(3000)}
    assert lefts == set(range(257))


def test_each_part_of_the_key_matters() -> None:
    crops = {
        plan_crop(SEED_EXAMPLE, "random", *parts)
        for parts in [(1, "a", "x.png"), (2, "a", "x.png"), (1, "b", "x.png"), (1, "a", "y.png")]
    }
    assert len(crops) == 4


@pytest.mark.parametrize(
    ("focus", "left"),
    [((0.5, 0.5), 128), ((0.4, 0.1), 51), ((0.0, 0.5), 0), ((1 / 3, 0.5), 0), ((0.35, 1.0), 13), ((0.95, 0.5), 256)],
)
def test_a_face_is_in_the_middle_of_the_window_as_far_as_the_picture_reaches(
    focus: tuple[float, float], left: int
) -> None:
    assert plan_crop(SEED_EXAMPLE, "face", 1, "set", "x.png", focus=focus) == Crop(left, 0)


def test_a_face_decides_the_height_of_an_upright_picture() -> None:
    upright = place(1000, 1500, GeometrySpec(512, crop=True))
    assert plan_crop(upright, "face", focus=(0.5, 0.4)) == Crop(0, 51)


def test_a_picture_without_a_face_is_cropped_at_random() -> None:
    parts = (1, "set", "x.png")
    assert plan_crop(SEED_EXAMPLE, "face", *parts) == plan_crop(SEED_EXAMPLE, "random", *parts)


@pytest.mark.parametrize("style", ["random", "center", "corner"])
def test_only_the_style_face_looks_at_faces(style: CropStyle) -> None:
    parts = (1, "set", "x.png")
    assert plan_crop(SEED_EXAMPLE, style, *parts, focus=(0.9, 0.9)) == plan_crop(SEED_EXAMPLE, style, *parts)


FRACTIONS = st.floats(0.0, 1.0)


@given(
    SIZES,
    SIZES,
    st.floats(0.2, 5.0),
    st.sampled_from(get_args(CropStyle)),
    st.none() | st.tuples(FRACTIONS, FRACTIONS),
)
def test_the_window_of_every_style_lies_inside(
    width: int, height: int, aspect: float, style: CropStyle, focus: tuple[float, float] | None
) -> None:
    placement = place(width, height, GeometrySpec(512, crop=True, crop_aspect="random"), aspect=aspect)
    crop = plan_crop(placement, style, 1, "set", "x.png", focus=focus)
    assert 0 <= crop.left <= placement.intermediary.width - placement.target.width
    assert 0 <= crop.top <= placement.intermediary.height - placement.target.height
    if style == "face" and focus is not None:
        centre = focus[0] * placement.intermediary.width
        assert crop.left <= centre + 0.5
        assert crop.left + placement.target.width >= centre - 0.5, "the face's centre is in the window"
