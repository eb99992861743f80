from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.data.files.table import PictureTable
from simpletuner.data.places.arrange import Arrangement, ArrangeSpec, arrange
from simpletuner.data.places.crops import plan_crop
from simpletuner.data.places.geometry import GeometrySpec, Size, WeightedAspect, bucket_of, place_in

GEOMETRY = GeometrySpec(64, alignment=16)
DRAWN = dataclasses.replace(
    GEOMETRY, crop=True, crop_aspect="random", aspects=tuple(map(WeightedAspect, (1.0, 0.5, 2.0)))
)


def table_of(sizes: list[tuple[int, int]]) -> PictureTable:
    return PictureTable(
        "set",
        [f"{number:04}.png" for number in range(len(sizes))],
        np.array([width for width, _ in sizes], dtype=np.int32),
        np.array([height for _, height in sizes], dtype=np.int32),
        [(f"caption {number}",) for number in range(len(sizes))],
        foci={"0000.png": (0.9, 0.9)},
    )


def arranged(sizes: list[tuple[int, int]], epoch: int = 0, **options: Any) -> Arrangement:
    spec = ArrangeSpec(**{"geometry": GEOMETRY, **options})
    return arrange(table_of(sizes), spec, seed=3, epoch=epoch)


some_sizes = st.lists(st.tuples(st.integers(1, 400), st.integers(1, 400)), min_size=1, max_size=40)


@given(sizes=some_sizes)
def test_every_picture_is_in_one_bucket_at_the_place_that_geometry_gives(sizes: list[tuple[int, int]]) -> None:
    made = arranged(sizes)
    first: dict[str, Size] = {}
    for size, entry in zip([Size(*size) for size in sizes], made.entries, strict=True):
        key, own = bucket_of(size, GEOMETRY)
        assert entry.placement == place_in(size, key, first.setdefault(key, own), GEOMETRY)
    by_bucket = {key: [sample.path for sample in samples] for key, samples in made.buckets.items()}
    assert sorted(path for paths in by_bucket.values() for path in paths) == list(made.table.paths)
    assert all(paths == sorted(paths) for paths in by_bucket.values())
    assert made.counts == {key: len(paths) for key, paths in by_bucket.items()}
    assert [float(key) for key in made.keys] == sorted(float(key) for key in made.keys)
    assert all(by_bucket.values())


def test_one_key_has_one_size_and_the_first_in_path_order_decides() -> None:
    spec = GeometrySpec(1024)
    tall, taller = (225, 1000), (216, 1000)
    assert bucket_of(Size(*tall), spec) == ("0.24", Size(512, 2112))
    assert bucket_of(Size(*taller), spec) == ("0.24", Size(512, 2176)), "alone they would clash"
    assert arranged([tall, taller], geometry=spec).targets == (Size(512, 2112),)
    assert arranged([taller, tall], geometry=spec).targets == (Size(512, 2176),)


def test_an_entry_has_its_caption_and_the_crop_of_its_name() -> None:
    made = arranged([(90, 60), (60, 60)], crop_style="random")
    entry = made.entry(1)
    assert entry.captions == ("caption 1",)
    assert entry.crop == plan_crop(entry.placement, "random", 3, "set", "0001.png")


def test_a_face_pulls_the_window() -> None:
    square = dataclasses.replace(GEOMETRY, crop=True)
    crops = [arranged([(200, 64)], geometry=square, crop_style=style).entry(0).crop for style in ("corner", "face")]
    assert crops[0].left < crops[1].left


def test_the_users_map_decides_sizes() -> None:
    (key,) = arranged([(90, 60)]).keys
    made = arranged([(90, 60)], known_sizes={key: Size(96, 64), "9.0": Size(16, 16)})
    assert made.keys == (key,)
    assert made.entry(0).placement.target == Size(96, 64)


def test_windows_move_only_where_they_are_taken_anew() -> None:
    sizes = [(200, 64)] * 8
    square = dataclasses.replace(GEOMETRY, crop=True)

    def crops(epoch: int, *, anew: bool) -> list[int]:
        made = arranged(sizes, epoch, geometry=square, anew=anew)
        assert made.spec.epochs_differ is anew
        return [entry.crop.left for entry in made.entries]

    assert crops(0, anew=False) == crops(1, anew=False)
    assert crops(0, anew=True) != crops(1, anew=True)
    assert crops(1, anew=True) == crops(1, anew=True)


def test_random_shapes_are_drawn_in_each_epoch() -> None:
    sizes = [(300, 300)] * 60
    first, second = (arranged(sizes, epoch, geometry=DRAWN) for epoch in (0, 1))
    assert set(first.keys) == {"0.5", "1.0", "2.0"} == set(second.keys)
    assert first.spec.epochs_differ
    assert (first.codes != second.codes).any()
    fixed = [arranged(sizes, epoch, geometry=DRAWN, redraw=False) for epoch in (0, 1)]
    assert (fixed[0].codes == fixed[1].codes).all()
    assert not fixed[0].spec.epochs_differ


def test_a_small_bucket_joins_its_nearest() -> None:
    sizes = [(64, 64)] * 5 + [(76, 60)] + [(120, 40)] * 5
    alone = arranged(sizes)
    merged = arranged(sizes, merge_below=3)
    assert len(alone.keys) == 3
    assert sorted(merged.counts.values()) == [5, 6]
    entry = merged.entry(5)
    assert entry.placement.target == Size(64, 64)
    assert entry.placement.intermediary.covers(entry.placement.target)
    assert arranged(sizes, merge_below=3, repeats=2).keys == alone.keys


def test_merging_enlarges_no_picture_beyond_the_limit() -> None:
    sizes = [(200, 200)] * 6 + [(100, 400), (120, 300)]

    def counts(most: float | None) -> dict[str, int]:
        return arranged(sizes, geometry=GeometrySpec(192, alignment=16, max_upscale=most), merge_below=4).counts

    assert counts(None) == counts(0.5) == {"1.0": 8}
    assert counts(0.4) == {"0.42": 2, "1.0": 6}, "the narrow one joins the other, which lacks too much for the squares"
    assert counts(0.0) == {"0.25": 1, "0.42": 1, "1.0": 6}


@pytest.mark.parametrize("count", [50_000])
def test_many_pictures_cost_no_object_each(count: int) -> None:
    random = np.random.default_rng(0)
    sizes = [tuple(size) for size in random.integers(200, 230, (count, 2)).tolist()]
    made = arranged(sizes)
    assert sum(made.counts.values()) == count
    assert made.codes.nbytes == 4 * count
