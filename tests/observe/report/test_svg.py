from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.observe.report.charts import Chart, Line
from simpletuner.observe.report.svg import Span, chart_html, short

VALUE = st.floats(-1e6, 1e6, allow_nan=False)


@given(st.lists(st.tuples(st.integers(0, 10_000), VALUE), min_size=1, max_size=40))
def test_any_numbers_make_a_picture_within_its_frame(points: list[tuple[int, float]]) -> None:
    ordered = tuple(sorted(dict(points).items()))
    band = tuple((step, value - 1, value + 1) for step, value in ordered)
    html = chart_html(Chart("a <title> & more", (Line("line", ordered, band), Line("faint", ordered, kind="faint"))))
    tree = ET.fromstring(html.replace("–", "-"))
    assert tree.findtext("h2") == "a <title> & more"
    for path in tree.iter("path"):
        for number in re.findall(r"-?\d+(?:\.\d+)?", path.attrib["d"]):
            assert -0.1 <= float(number) <= 1000.1, path.attrib["d"]


@given(VALUE, st.floats(1e-6, 1e6))
def test_ticks_are_few_round_and_within(low: float, width: float) -> None:
    span = Span(low, low + width)
    if span.high > span.low:
        ticks = span.ticks()
        assert len(ticks) <= 8
        assert all(span.low - width * 1e-6 <= tick <= span.high + width * 1e-6 for tick in ticks)


def test_a_line_is_where_its_values_are() -> None:
    html = chart_html(Chart("t", (Line("up", ((0, 0.0), (10, 1.0))),)))
    assert 'd="M0 946.4L1000 53.6"' in html
    assert '<span class="k0">up: 1</span>' in html


@pytest.mark.parametrize(
    ("last", "told"), [(1, ["1"]), (3, ["1", "2", "3"]), (60, ["10", "20", "30", "40", "50", "60"])]
)
def test_no_step_lies_between_two(last: int, told: list[str]) -> None:
    html = chart_html(Chart("t", (Line("up", tuple((step, 0.5) for step in range(1, last + 1))),)))
    foot = html.partition('<div class="xs">')[2].partition("</div>")[0]
    assert re.findall(r">([^<]+)</span>", foot) == told


def test_smoothed_and_raw_have_one_colour_and_one_wild_value_does_not_flatten_the_rest() -> None:
    values = tuple((step, 1.0 + step / 1000) for step in range(200))
    wild = (*values, (200, 1e9))
    html = chart_html(Chart("t", (Line("raw", wild, kind="faint"), Line("smooth", values), Line("next", values))))
    assert 'class="k0 faint"' in html
    assert 'class="k0 plain"' in html
    assert 'class="k1 plain"' in html
    assert "e8" not in html
    # Many points are a line without dots.
    assert "dot" not in html


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0, "0"),
        (1234.0, "1,234"),
        (0.5, "0.5"),
        (1e-4, "1.0e-4"),
        (2.5e7, "2.5e7"),
        (0.123456, "0.1235"),
        (float("nan"), "–"),
    ],
)
def test_numbers_are_short(value: float, told: str) -> None:
    assert short(value) == told
