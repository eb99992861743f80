from __future__ import annotations

import pytest

from simpletuner.data.geometry import GeometrySpec, Size
from simpletuner.data.limits import edge_refusal, size_refusal


@pytest.mark.parametrize(
    ("unit", "minimum", "size", "crop", "kept"),
    [
        ("pixel", 1024, Size(768, 1024), False, False),
        ("pixel", 1024, Size(1280, 768), False, False),
        ("pixel", 1024, Size(1760, 1024), False, True),
        ("pixel", 1024, Size(1024, 1024), False, True),
        ("pixel_area", 1024, Size(1280, 960), False, True),
        ("pixel_area", 1024, Size(1024, 1023), False, False),
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
