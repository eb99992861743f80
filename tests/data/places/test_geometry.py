from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from simpletuner.data.places.geometry import (
    GeometrySpec,
    Placement,
    Size,
    area_pixels,
    bucket_of,
    cover,
    edge_pixels,
    exceeds,
    place,
    place_in,
)


def size(text: str) -> Size:
    width, height = text.split("x")
    return Size(int(width), int(height))


def placed(original: str, spec: GeometrySpec) -> Placement:
    return place(size(original).width, size(original).height, spec)


@pytest.mark.parametrize(("edge", "area"), [(512, 262_144), (768, 589_824), (1024, 1_048_576), (1536, 2_359_296)])
def test_pixel_area_is_the_square_of_its_edge(edge: int, area: int) -> None:
    assert area_pixels(edge, "pixel_area") == area
    assert area_pixels(area / 1e6, "area") == area
    assert edge_pixels(area / 1e6, "area") == edge


AT_1024 = """
1024x1024 1024x1024 1024x1024 1.0
1500x1000 1280x853 1280x832 1.54
1000x1500 853x1280 832x1280 0.65
1920x1080 1365x768 1344x768 1.75
1080x1920 768x1365 768x1344 0.57
4000x3000 1194x896 1152x896 1.29
1600x1200 1194x896 1152x896 1.29
1280x960 1194x896 1152x896 1.29
3000x1000 1792x597 1792x576 3.11
2000x1990 1029x1024 1024x1024 1.0
"""
AT_512 = """
1024x1024 512x512 512x512 1.0
1500x1000 672x448 640x448 1.43
1000x1500 448x672 448x640 0.7
1920x1080 704x396 704x384 1.83
1080x1920 396x704 384x704 0.55
4000x3000 597x448 576x448 1.29
3000x1000 960x320 896x320 2.8
2000x1990 514x512 512x512 1.0
"""
WORKED = [(1024, *row.split()) for row in AT_1024.split("\n") if row] + [
    (512, *row.split()) for row in AT_512.split("\n") if row
]


@pytest.mark.parametrize(("resolution", "original", "intermediary", "target", "key"), WORKED)
def test_worked_examples_of_pixel_area(
    resolution: int, original: str, intermediary: str, target: str, key: str
) -> None:
    expected = Placement(key, size(target), size(intermediary))
    assert placed(original, GeometrySpec(resolution)) == expected
    assert placed(original, GeometrySpec(resolution * resolution / 1e6, "area")) == expected


NOMINAL = """
0.25 512x2048 0.25 | 0.33 576x1792 0.32 | 0.4 640x1600 0.4 | 0.5 704x1472 0.48 | 0.56 768x1344 0.57
0.6 768x1344 0.57 | 0.67 832x1280 0.65 | 0.7 832x1216 0.68 | 0.75 896x1152 0.78 | 0.8 896x1152 0.78
0.9 960x1088 0.88 | 1.0 1024x1024 1.0 | 1.1 1088x960 1.13 | 1.2 1152x960 1.2 | 1.25 1152x896 1.29
1.33 1152x896 1.29 | 1.5 1280x832 1.54 | 1.6 1280x832 1.54 | 1.78 1344x768 1.75 | 2.0 1472x704 2.09
2.33 1536x640 2.4 | 2.5 1600x640 2.5 | 3.0 1792x576 3.11 | 4.0 2048x512 4.0
"""


@pytest.mark.parametrize("row", [row.strip() for line in NOMINAL.strip().split("\n") for row in line.split("|")])
def test_bucket_sizes_of_nominal_aspects(row: str) -> None:
    aspect, target, key = row.split()
    original = Size(round(float(aspect) * 10_000), 10_000)
    assert bucket_of(original, GeometrySpec(1024)) == (key, size(target))
    cropped = GeometrySpec(1024, crop=True, crop_aspect="closest")
    assert bucket_of(Size(777, 3210), cropped, float(aspect)) == (key, size(target)), "whatever the picture's own shape"


@pytest.mark.parametrize(
    ("resolution", "edge"), [(10, 64), (32, 64), (96, 128), (97, 128), (160, 128), (161, 192), (1023, 1024)]
)
def test_halves_are_rounded_to_the_even_multiple_and_never_to_none(resolution: float, edge: int) -> None:
    assert bucket_of(Size(500, 500), GeometrySpec(resolution)) == ("1.0", Size(edge, edge))


def test_a_picture_is_scaled_to_cover_the_shape_that_was_chosen_for_it() -> None:
    spec = GeometrySpec(1024, crop=True, crop_aspect="closest")
    assert place(1500, 1000, spec, aspect=1.0) == Placement("1.0", Size(1024, 1024), Size(1536, 1024))
    assert place(1000, 1500, spec, aspect=1.5) == Placement("1.54", Size(1280, 832), Size(1280, 1920))
    assert place(1000, 1500, spec, {"1.54": Size(1216, 832)}, 1.5).target == Size(1216, 832)
    in_pixels = GeometrySpec(1024, "pixel", crop=True, crop_aspect="random")
    assert place(1000, 1000, in_pixels, aspect=1.78) == Placement("1.75", Size(1792, 1024), Size(1792, 1792))
    assert place(1000, 1000, in_pixels, aspect=0.56).target == Size(1024, 1856)


def test_a_chosen_shape_is_rounded_as_a_pictures_own_is() -> None:
    spec = GeometrySpec(1024, crop=True, crop_aspect="closest")
    assert bucket_of(Size(1, 1), spec, 16 / 9) == bucket_of(Size(1920, 1080), spec)


def test_a_square_crop_knows_no_other_shape() -> None:
    assert bucket_of(Size(1500, 1000), GeometrySpec(512, crop=True), 1.5) == ("1.0", Size(512, 512))


@pytest.mark.parametrize(
    ("original", "intermediary", "target", "key"),
    [
        ("1920x1080", "1820x1024", "1792x1024", "1.75"),
        ("4000x3000", "1365x1024", "1344x1024", "1.31"),
        ("1500x1000", "1536x1024", "1536x1024", "1.5"),
        ("1760x1024", "1792x1042", "1792x1024", "1.75"),
        ("150x100", "1536x1024", "1536x1024", "1.5"),
        ("1000x1500", "1024x1536", "1024x1536", "0.67"),
    ],
)
def test_worked_examples_of_pixel(original: str, intermediary: str, target: str, key: str) -> None:
    assert placed(original, GeometrySpec(1024, "pixel")) == Placement(key, size(target), size(intermediary))


@pytest.mark.parametrize(
    ("resolution", "edge"),
    [
        *[(area, 512) for area in (0.2, 0.25, 0.3)],
        *[(area, 768) for area in (0.45, 0.5, 0.55)],
        *[(area, 1024) for area in (0.95, 1.0, 1.05)],
        *[(area, 1536) for area in (1.95, 2.0, 2.05)],
        *[(area, 2048) for area in (3.95, 4.0, 4.05)],
        (0.1, 320),
        (0.31, 576),
        (1.2, 1088),
        (2.06, 1408),
    ],
)
def test_square_crops_of_an_area_have_the_usual_edges(resolution: float, edge: int) -> None:
    placement = placed("3000x2000", GeometrySpec(resolution, "area", crop=True))
    assert (placement.key, placement.target) == ("1.0", Size(edge, edge))


@pytest.mark.parametrize("unit", ["pixel", "pixel_area"])
def test_square_crop_scales_the_shorter_side_to_cover(unit: str) -> None:
    spec = GeometrySpec(512, unit, crop=True)  # type: ignore[arg-type]
    assert placed("1500x1000", spec) == Placement("1.0", Size(512, 512), Size(768, 512))
    assert placed("100x50", spec).intermediary == Size(1024, 512)


def test_the_documents_first_data_set_enlarges_a_downsample_that_does_not_cover() -> None:
    spec = GeometrySpec(512, crop=True, minimum=512, maximum=512, downsample=512)
    assert placed("1500x1000", spec).intermediary == Size(768, 512)


def test_without_its_square_the_first_data_set_is_scaled_to_its_downsample_size() -> None:
    spec = GeometrySpec(512, crop=True, crop_aspect="preserve", minimum=512, maximum=512, downsample=512)
    assert placed("1500x1000", spec) == Placement("1.43", Size(640, 448), Size(672, 448))


def test_the_documents_evaluation_squares_are_only_scaled() -> None:
    spec = GeometrySpec(1024, crop=True, minimum=1024, maximum=1536, downsample=1024)
    assert placed("2000x2000", spec) == Placement("1.0", Size(1024, 1024), Size(1024, 1024))


def test_a_picture_above_the_maximum_shrinks_to_the_downsample_size_before_its_crop() -> None:
    spec = GeometrySpec(1024, crop=True, maximum=1536, downsample=1280)
    assert placed("3000x2000", spec).intermediary == Size(1536, 1024)
    assert placed("2000x2000", spec).intermediary == Size(1280, 1280)
    assert placed("1536x1536", spec).intermediary == Size(1024, 1024), "not above the maximum: it covers the target"
    preserve = GeometrySpec(1024, crop=True, crop_aspect="preserve", maximum=1536, downsample=1280)
    assert placed("3000x2000", preserve) == Placement("1.54", Size(1280, 832), Size(1536, 1024))
    closest = GeometrySpec(1024, crop=True, crop_aspect="closest", maximum=1536, downsample=1280)
    chosen = place(3000, 2000, closest, aspect=1.0)
    assert chosen == Placement("1.0", Size(1024, 1024), Size(1536, 1024)), "shrunk in its own shape, then cropped"


@pytest.mark.parametrize("spec", [{"crop": False}, {"crop": True, "maximum": None}, {"crop": True, "downsample": None}])
def test_downsampling_needs_a_crop_and_both_options(spec: dict[str, float | None]) -> None:
    options = {"maximum": 1536.0, "downsample": 1280.0, "crop_aspect": "preserve"} | spec
    placement = placed("3000x2000", GeometrySpec(1024, **options))  # type: ignore[arg-type]
    assert placement.intermediary == Size(1280, 853)


@pytest.mark.parametrize(
    ("original", "value", "unit", "larger"),
    [
        ("1537x1536", 1536, "pixel_area", True),
        ("1536x1536", 1536, "pixel_area", False),
        ("3000x1024", 1024, "pixel", False),
        ("3000x1025", 1024, "pixel", True),
        ("2000x1000", 2.0, "area", False),
        ("2001x1000", 2.0, "area", True),
    ],
)
def test_what_is_larger_than_the_maximum(original: str, value: float, unit: str, larger: bool) -> None:
    assert exceeds(size(original), value, unit) is larger  # type: ignore[arg-type]


def test_a_resolution_map_of_the_users_overrides_the_rule() -> None:
    placement = place(1500, 1000, GeometrySpec(1024), {"1.54": Size(1216, 832)})
    assert placement == Placement("1.54", Size(1216, 832), Size(1248, 832))


def test_a_picture_may_be_placed_in_a_bucket_that_is_not_its_own() -> None:
    spec = GeometrySpec(1024)
    assert place_in(Size(1500, 1000), "1.0", Size(1024, 1024), spec) == Placement(
        "1.0", Size(1024, 1024), Size(1536, 1024)
    )
    own = place(1500, 1000, spec)
    assert place_in(Size(1500, 1000), own.key, own.target, spec) == own


@pytest.mark.parametrize("rounding", [0, 1, 2, 3])
@pytest.mark.parametrize("original", ["1x10000", "10000x1", "1x1"])
def test_slivers_have_a_bucket(original: str, rounding: int) -> None:
    placement = placed(original, GeometrySpec(1024, rounding=rounding))
    assert min(placement.target.width, placement.target.height) >= 64


EDGES = st.integers(1, 12_000)
ASPECTS = st.none() | st.floats(0.05, 20.0)
SPECS = st.builds(
    GeometrySpec,
    resolution=st.integers(64, 2048),
    unit=st.sampled_from(["pixel", "pixel_area"]),
    crop=st.booleans(),
    crop_aspect=st.sampled_from(["square", "preserve", "closest", "random"]),
    alignment=st.sampled_from([16, 32, 64]),
    rounding=st.integers(1, 3),
    maximum=st.none() | st.integers(64, 3000),
    downsample=st.none() | st.integers(64, 3000),
) | st.builds(
    GeometrySpec,
    resolution=st.floats(0.01, 4.2),
    unit=st.just("area"),
    crop=st.booleans(),
    alignment=st.sampled_from([16, 32, 64]),
    maximum=st.none() | st.floats(0.1, 5.0),
    downsample=st.none() | st.floats(0.1, 5.0),
)
MAPPED = st.builds(
    Size, st.integers(1, 128).map(lambda part: part * 16), st.integers(1, 128).map(lambda part: part * 16)
)


@given(EDGES, EDGES, SPECS, ASPECTS)
def test_targets_are_aligned_and_covered(width: int, height: int, spec: GeometrySpec, aspect: float | None) -> None:
    placement = place(width, height, spec, aspect=aspect)
    assert placement.target.width % spec.alignment == 0 < placement.target.width
    assert placement.target.height % spec.alignment == 0 < placement.target.height
    assert placement.target.width % 16 == placement.target.height % 16 == 0
    assert placement.intermediary.covers(placement.target)
    assert place(width, height, spec, aspect=aspect) == placement
    assert float(placement.key) == round(placement.target.width / placement.target.height, spec.rounding)


@given(EDGES, EDGES, SPECS, ASPECTS)
def test_each_side_is_the_exact_one_within_half_an_alignment(
    width: int, height: int, spec: GeometrySpec, aspect: float | None
) -> None:
    assume(not spec.square)
    _, target = bucket_of(Size(width, height), spec, aspect)
    shape = max(round(aspect or width / height, spec.rounding), 10.0**-spec.rounding)
    if spec.unit == "pixel":
        exact = (spec.resolution * max(shape, 1), spec.resolution / min(shape, 1))
        truncated = 1
    else:
        edge = bucket_of(Size(1, 1), spec)[1].width
        exact = (edge * math.sqrt(shape), edge / math.sqrt(shape))
        truncated = 0
    for side, wanted in zip((target.width, target.height), exact, strict=True):
        clamped = side == spec.alignment and wanted < side
        assert clamped or abs(side - wanted) <= spec.alignment / 2 + truncated + 1e-6


@given(EDGES, EDGES, SPECS, ASPECTS, MAPPED)
def test_a_key_that_is_in_the_map_has_the_size_of_the_map(
    width: int, height: int, spec: GeometrySpec, aspect: float | None, mapped: Size
) -> None:
    key, own = bucket_of(Size(width, height), spec, aspect)
    placement = place(width, height, spec, {key: mapped, "another": own}, aspect)
    assert (placement.key, placement.target) == (key, mapped)
    assert placement.intermediary.covers(mapped)


@given(EDGES, EDGES, st.integers(1, 64), st.integers(1, 64))
def test_cover_is_the_least_scaling_and_keeps_the_aspect(width: int, height: int, across: int, down: int) -> None:
    source, target = Size(width, height), Size(across * 16, down * 16)
    scaled = cover(source, target)
    assert scaled.covers(target)
    assert scaled.width == target.width or scaled.height == target.height
    scale = max(target.width / width, target.height / height)
    assert abs(scaled.width - width * scale) <= 1
    assert abs(scaled.height - height * scale) <= 1


@given(EDGES, EDGES, st.integers(1, 64), st.integers(1, 64))
def test_cover_treats_portrait_and_landscape_alike(width: int, height: int, across: int, down: int) -> None:
    upright = cover(Size(width, height), Size(across * 16, down * 16))
    turned = cover(Size(height, width), Size(down * 16, across * 16))
    assert turned == Size(upright.height, upright.width)


@given(st.integers(1000, 3000), st.integers(1000, 3000), SPECS)
def test_turning_a_picture_turns_its_bucket_within_the_rounding_of_its_aspect(
    width: int, height: int, spec: GeometrySpec
) -> None:
    _, upright = bucket_of(Size(width, height), spec)
    _, turned = bucket_of(Size(height, width), spec)
    # An upright aspect is the smaller number, so its rounding loses more of it.
    lost, narrow = 0.5 * 10.0**-spec.rounding, min(width, height) / max(width, height)
    longest = (edge_pixels(spec.resolution, spec.unit) + spec.alignment) / narrow
    slack = spec.alignment + 2 + longest * (lost + lost / (narrow - lost))
    assert abs(turned.width - upright.height) <= slack
    assert abs(turned.height - upright.width) <= slack
