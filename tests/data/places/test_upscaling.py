from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.data.files.table import PictureTable
from simpletuner.data.places.arrange import Arrangement, ArrangeSpec, arrange
from simpletuner.data.places.geometry import GeometrySpec, Size
from simpletuner.data.places.limits import upscale_factor
from simpletuner.data.places.upscaling import Upscaling, upscaling


def arranged(*sizes: tuple[int, int], crop: bool = False) -> Arrangement:
    """Pictures of these sizes at 512, in a data set of their own."""
    paths = [f"{number:03d}.png" for number in range(len(sizes))]
    widths, heights = (np.asarray([size[axis] for size in sizes], dtype=np.int32) for axis in (0, 1))
    table = PictureTable("set", paths, widths, heights, [("",)] * len(paths))
    return arrange(table, ArrangeSpec(GeometrySpec(512, crop=crop), crop_style="center"), seed=1, epoch=0)


def test_nothing_is_enlarged() -> None:
    assert upscaling(arranged((512, 512), (2000, 1500))) == Upscaling()
    assert upscaling(arranged()) == Upscaling()


@pytest.mark.parametrize(("factor", "shown"), [(1.0, "1"), (1.74, "1.7"), (9.96, "10"), (128, "128"), (1280, "1,280")])
def test_a_factor_for_a_person(factor: float, shown: str) -> None:
    assert Upscaling(factor=factor).shown == shown


def test_the_worst_is_named() -> None:
    found = upscaling(arranged((512, 512), (256, 256), (500, 500), (128, 128), (128, 128), crop=True))
    assert found == Upscaling(count=4, strong=3, factor=4.0, file="003.png")


@pytest.mark.parametrize(("edge", "strong"), [(342, 0), (341, 1)])
def test_strong_is_more_than_half_as_large_again(edge: int, strong: int) -> None:
    assert upscaling(arranged((edge, edge), crop=True)).strong == strong


@given(st.lists(st.tuples(st.integers(20, 900), st.integers(20, 900)), min_size=1, max_size=12))
def test_it_is_what_every_picture_says_by_itself(sizes: list[tuple[int, int]]) -> None:
    made = arranged(*sizes)
    alone = [round(upscale_factor(Size(entry.width, entry.height), entry.placement), 4) for entry in made.entries]
    found = upscaling(made)
    assert found.count == sum(factor > 1 for factor in alone)
    assert found.factor == max(alone)
