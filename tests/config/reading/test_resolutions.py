from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.config.reading.resolutions import LONGEST, parse_resolutions, rounded_sizes
from simpletuner.core.errors import ConfigError
from simpletuner.models.catalogue import family_facts


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("1024x1024", ((1024, 1024),)),
        ("1024x1024, 1280x768 ,2048X2048", ((1024, 1024), (1280, 768), (2048, 2048))),
        ("512", ((512, 512),)),
        ("64", ((64, 64),)),
        ("16", ((16, 16),)),
        ("1", ((1024, 1024),)),
        ("2", ((2000, 2000),)),
        ("0.5", ((496, 496),)),
        ("1000x500", ((992, 496),)),
        ("1 x 1", ((16, 16),)),
        ("3072x16, 3080x64", ((3072, 16), (3072, 64))),
        ("64, 64x64, 96x64, 65", ((64, 64), (96, 64))),
    ],
)
def test_sizes(text: str, sizes: Any) -> None:
    assert parse_resolutions(text) == sizes


@pytest.mark.parametrize("text", ["", "abc", "1024x", "x1024", "1x2x3", "1024,", "-512", "0", "0x16", "1e3", "512px"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(ConfigError, match="is no size"):
        parse_resolutions(text)


@pytest.mark.parametrize("text", ["3088x64", "64, 64x100000", "4", "9999999999999"])
def test_no_edge_is_longer_than_the_model_has_positions_for(text: str) -> None:
    assert family_facts("omnigen").longest_edge == LONGEST
    with pytest.raises(ConfigError, match="no edge can be longer than 3072"):
        parse_resolutions(text)


@pytest.mark.parametrize(
    ("text", "rounded"),
    [
        ("1024x1024, 512,1,0.5, 2", ()),
        ("1000x500", (("1000x500", (992, 496)),)),
        ("250, 1024 x 1000", (("250", (256, 256)), ("1024 x 1000", (1024, 992)))),
        ("16.5", (("16.5", (16, 16)),)),
    ],
)
def test_what_is_rounded_is_known_but_for_megapixels(text: str, rounded: Any) -> None:
    assert rounded_sizes(text) == rounded


@given(st.lists(st.tuples(st.integers(1, LONGEST), st.integers(1, LONGEST)), min_size=1, max_size=4))
def test_every_size_is_a_near_multiple_of_16(sizes: Any) -> None:
    for size in sizes:
        (rounded,) = parse_resolutions(f"{size[0]}x{size[1]}")
        for edge, multiple in zip(size, rounded, strict=True):
            assert multiple % 16 == 0
            assert multiple >= 16
            assert abs(edge - multiple) <= 8 or edge < 16
