from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from simpletuner.data.crops import Crop, plan_crop
from simpletuner.data.geometry import GeometrySpec, place

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
