from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.core.errors import ConfigError
from simpletuner.data.places.geometry import GeometrySpec, Size, place
from simpletuner.data.places.maps import map_file, read_map, write_map


@pytest.mark.parametrize(
    ("resolution", "unit", "megapixels"),
    [
        (1.0, "area", "1.0"),
        (1, "area", "1.0"),
        (0.25, "area", "0.25"),
        (1.05, "area", "1.05"),
        (1024, "pixel_area", "1.048576"),
        (512, "pixel_area", "0.262144"),
        (768, "pixel_area", "0.589824"),
        (1536.0, "pixel_area", "2.359296"),
        (1000, "pixel_area", "1.0"),
        (1024, "pixel", "1.048576"),
    ],
)
def test_the_name_holds_the_area_in_megapixels(resolution: float, unit: str, megapixels: str) -> None:
    spec = GeometrySpec(resolution, unit)  # type: ignore[arg-type]
    assert map_file(Path("out"), spec) == Path("out", f"aspect_resolution_map-{megapixels}.json")


def test_a_map_as_a_user_writes_it_decides_sizes(tmp_path: Path) -> None:
    path = tmp_path / "map.json"
    path.write_text('{"1": [1024, 1024], "1.540": [1216, 832], "0.5": [768, 1536]}')
    sizes = read_map(path)
    assert sizes == {"1.0": Size(1024, 1024), "1.54": Size(1216, 832), "0.5": Size(768, 1536)}
    assert place(1500, 1000, GeometrySpec(1024), sizes).target == Size(1216, 832)


def test_edges_need_the_models_alignment_only(tmp_path: Path) -> None:
    path = tmp_path / "map.json"
    path.write_text('{"1.49": [1216, 816]}')
    assert read_map(path) == {"1.49": Size(1216, 816)}
    with pytest.raises(ConfigError, match="no multiple of 64"):
        read_map(path, 64)


@pytest.mark.parametrize(
    ("content", "key", "reason", "cure"),
    [
        ('{"wide": [1024, 1024]}', "wide", "no aspect ratio", '"1.54"'),
        ('{"nan": [1024, 1024]}', "nan", "no aspect ratio", '"1.54"'),
        ('{"inf": [1024, 1024]}', "inf", "no aspect ratio", '"1.54"'),
        ('{"0": [1024, 1024]}', "0", "no aspect ratio", '"1.54"'),
        ('{"-1.0": [1024, 1024]}', "-1.0", "no aspect ratio", '"1.54"'),
        ('{"1": [64, 64], "1.0": [64, 64]}', "1.0", "same bucket", "keep one"),
        ('{"1.0": [64, 64], "1.0": [64, 64]}', "1.0", "twice", "keep one"),
        ('{"1.0": 1024}', "1.0", "two whole numbers", "[1280, 832]"),
        ('{"1.0": "1024x1024"}', "1.0", "two whole numbers", "[1280, 832]"),
        ('{"1.0": [1024]}', "1.0", "two whole numbers", "[1280, 832]"),
        ('{"1.0": [1024, 1024, 3]}', "1.0", "two whole numbers", "[1280, 832]"),
        ('{"1.0": [1024.5, 1024]}', "1.0", "two whole numbers", "[1280, 832]"),
        ('{"1.0": [true, 1024]}', "1.0", "two whole numbers", "[1280, 832]"),
        ('{"1.0": [0, 1024]}', "1.0", "two whole numbers", "[1280, 832]"),
        ('{"1.0": [-1024, 1024]}', "1.0", "two whole numbers", "[1280, 832]"),
        ('{"1.33": [1182, 886]}', "1.33", "1182x886 has an edge that is no multiple of 16", "[1184, 880]"),
        ('{"1.0": [7, 16]}', "1.0", "7x16 has an edge that is no multiple of 16", "[16, 16]"),
    ],
)
def test_what_is_wrong_is_named_with_its_cure(tmp_path: Path, content: str, key: str, reason: str, cure: str) -> None:
    path = tmp_path / "map.json"
    path.write_text(content)
    with pytest.raises(ConfigError) as caught:
        read_map(path)
    assert (caught.value.file, caught.value.key) == (path, key)
    assert reason in caught.value.reason
    assert caught.value.cure is not None
    assert cure in caught.value.cure


@pytest.mark.parametrize(
    ("content", "reason"),
    [('{"1.0": [1024, 1024],}', "line 1, column 21"), ("[[1024, 1024]]", "one object"), ("", "is empty")],
)
def test_a_file_that_is_no_object_is_named(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "map.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=reason) as caught:
        read_map(path)
    assert caught.value.file == path


KEYS = st.floats(0.01, 99).map(lambda aspect: str(round(aspect, 3)))
EDGES = st.integers(1, 256).map(lambda part: part * 16)


@given(st.dictionaries(KEYS, st.builds(Size, EDGES, EDGES)))
def test_a_map_is_read_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, sizes: dict[str, Size]) -> None:
    path = tmp_path_factory.mktemp("maps") / "map.json"
    write_map(path, sizes)
    read = read_map(path)
    assert read == sizes
    assert list(read) == sorted(sizes, key=float), "narrow ones first, for whoever edits it"
