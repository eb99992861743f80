from __future__ import annotations

from simpletuner.validation.probes.chart import Line, chart

BLUE, ORANGE = (31, 90, 180), (214, 110, 20)


def test_a_line_lies_where_its_numbers_are() -> None:
    high, low = Line("high", (0, 50, 100), (1.0, 1.0, 1.0)), Line("low", (0, 50, 100), (0.5, 0.5, 0.5))
    image = chart("title", "token", [high, low], [(50.0, "half")])
    column = [image.getpixel((300, y)) for y in range(90, image.height)]
    top, middle, bottom = 0, column.index(ORANGE), image.height - 60 - 90
    assert abs(column.index(BLUE) - top) <= 2
    assert abs(middle - bottom / 2) <= 3
    assert image.getpixel((70 + 860 // 2, 150)) == (40, 40, 46)


def test_flat_zero_and_tiny_numbers_have_a_chart() -> None:
    for y in ((0.0, 0.0), (3e-7, 1e-7), (5000.0, 20.0)):
        assert chart("title", "token", [Line("one", (0, 7), y)]).size == (960, 560)
