from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.data.places.geometry import GeometrySpec, Placement, Size, place
from simpletuner.data.places.limits import (
    aspect_refusal,
    edge_refusal,
    enlargement,
    lacking,
    mismatch_refusal,
    size_refusal,
    upscale_factor,
    upscale_refusal,
)


@pytest.mark.parametrize(
    ("unit", "minimum", "size", "crop", "kept"),
    [
        ("pixel", 1024, Size(768, 1024), False, False),
        ("pixel", 1024, Size(1280, 768), False, False),
        ("pixel", 1024, Size(1760, 1024), False, True),
        ("pixel", 1024, Size(1024, 1024), False, True),
        ("pixel_area", 1024, Size(1280, 960), False, True),
        ("pixel_area", 1024, Size(1024, 1023), False, False),
        ("pixel_area", 1024, Size(1024, 1024), True, True),
        ("pixel_area", 512, Size(511, 1024), True, False),
        ("pixel_area", 1024, Size(1280, 960), True, False),
        ("pixel_area", 1024, Size(1100, 1024), True, True),
        ("area", 1.0, Size(1250, 800), False, True),
        ("area", 1.0, Size(999, 1001), False, False),
        ("area", 1.0, Size(1250, 800), True, False),
        ("area", 1.0, Size(1000, 1000), True, True),
    ],
)
def test_minimum_image_size(unit: str, minimum: float, size: Size, crop: bool, kept: bool) -> None:
    refusal = size_refusal(size, GeometrySpec(512, unit, crop=crop, minimum=minimum))  # type: ignore[arg-type]
    assert (refusal is None) is kept
    if refusal is not None:
        assert str(size) in refusal.reason
        assert "minimum_image_size" in refusal.reason
        assert "minimum_image_size" in refusal.cure


@pytest.mark.parametrize("minimum", [None, 0])
def test_no_minimum_keeps_the_smallest_picture(minimum: float | None) -> None:
    assert size_refusal(Size(1, 1), GeometrySpec(1024, crop=True, minimum=minimum)) is None


def test_preserving_the_aspect_does_not_look_at_edges() -> None:
    assert size_refusal(Size(1280, 960), GeometrySpec(1024, crop=True, crop_aspect="preserve", minimum=1024)) is None


def test_a_bucket_beyond_the_models_edge_is_refused() -> None:
    assert edge_refusal(Size(1, 100), Size(128, 3072), 3072) is None
    assert edge_refusal(Size(1, 100), Size(128, 9999), None) is None
    refusal = edge_refusal(Size(1, 100), Size(128, 3136), 3072)
    assert refusal is not None
    assert "3072" in refusal.reason


@pytest.mark.parametrize(
    ("size", "threshold", "kept"),
    [
        (Size(256, 256), 0.2, False),
        (Size(850, 850), 0.2, True),
        (Size(256, 256), 0.75, True),
        (Size(255, 256), 0.75, False),
        (Size(256, 256), 1.0, True),
        (Size(256, 256), None, True),
        (Size(1024, 1024), 0.0, True),
        (Size(1024, 1023), 0.0, False),
        (Size(512, 2048), 0.0, True),
    ],
)
def test_enlargement_beyond_the_threshold(size: Size, threshold: float | None, kept: bool) -> None:
    refusal = upscale_refusal(size, Size(1024, 1024), GeometrySpec(1024, max_upscale=threshold))
    assert (refusal is None) is kept
    if refusal is not None:
        assert refusal.reason.startswith(f"needs more enlargement than max_upscale_threshold {threshold:g}: {size} ")
        assert "max_upscale_threshold" in refusal.cure


def test_a_threshold_is_met_where_binary_fractions_miss_it() -> None:
    assert 1 - 0.7 > 0.3
    assert upscale_refusal(Size(700, 700), Size(1000, 1000), GeometrySpec(1000, max_upscale=0.3)) is None


def test_a_size_that_was_told_wrongly() -> None:
    told = Size(101, 50)
    assert mismatch_refusal(told, told, jpeg=False) is None
    assert mismatch_refusal(told, Size(51, 25), jpeg=True) is None
    for size, jpeg in ((Size(51, 25), False), (Size(50, 25), True), (Size(50, 101), True)):
        refusal = mismatch_refusal(told, size, jpeg=jpeg)
        assert refusal is not None
        assert refusal.reason.startswith(f"it was 101x50 when the data set was scanned and is {size}")
        assert ("EXIF" in refusal.cure) is (size == Size(50, 101))
    assert mismatch_refusal(Size(50, 50), Size(50, 50), jpeg=False) is None


@given(*[st.integers(1, 5000)] * 4)
def test_enlargement_is_a_fraction_and_none_for_a_picture_that_is_large_enough(
    width: int, height: int, across: int, down: int
) -> None:
    lacking = enlargement(Size(width, height), Size(across, down))
    assert 0 <= lacking < 1
    assert lacking == 0 or width * height < across * down
    assert enlargement(Size(height, width), Size(across, down)) == lacking


@pytest.mark.parametrize(
    ("key", "kept"), [("0.49", False), ("0.5", True), ("1.0", True), ("2.0", True), ("2.01", False)]
)
def test_buckets_beyond_the_aspect_limits(key: str, kept: bool) -> None:
    refusal = aspect_refusal(key, GeometrySpec(1024, minimum_aspect=0.5, maximum_aspect=2.0))
    assert (refusal is None) is kept
    assert aspect_refusal(key, GeometrySpec(1024)) is None


def test_a_refused_bucket_is_named_after_what_is_common_to_many() -> None:
    spec = GeometrySpec(1024, minimum_aspect=0.5, maximum_aspect=2.0)
    narrow, wide = aspect_refusal("0.25", spec), aspect_refusal("3.11", spec)
    assert narrow is not None
    assert wide is not None
    assert narrow.reason == "below minimum_aspect_ratio 0.5: its bucket is 0.25"
    assert wide.reason == "above maximum_aspect_ratio 2: its bucket is 3.11"
    assert "lower minimum_aspect_ratio" in narrow.cure
    assert "raise maximum_aspect_ratio" in wide.cure


@pytest.mark.parametrize(
    ("size", "factor"),
    [(Size(1500, 1000), 1.0), (Size(512, 512), 2.0), (Size(1024, 256), 4.0), (Size(1024, 1024), 1.0)],
)
def test_by_how_much_a_picture_is_enlarged(size: Size, factor: float) -> None:
    placement = place(size.width, size.height, GeometrySpec(1024, crop=True))
    assert upscale_factor(size, placement) == pytest.approx(factor, rel=0.03)


def test_the_edge_that_grows_more_counts() -> None:
    placement = Placement("1.0", Size(64, 64), Size(129, 90))
    assert upscale_factor(Size(100, 100), placement) == 1.29


def test_what_an_edge_lacks_to_cover_a_size() -> None:
    assert lacking(Size(100, 400), Size(192, 192)) == pytest.approx(92 / 192)
    assert lacking(Size(192, 400), Size(192, 192)) == 0
    assert lacking(Size(70, 100), Size(100, 100)) == 0.3, "what a limit of 0.3 allows"
    assert upscale_factor(Size(100, 400), place(100, 400, GeometrySpec(192, crop=True))) == pytest.approx(192 / 100)
