from __future__ import annotations

from pathlib import Path

import pytest

from simpletuner.adapters.lokr.planner import FACTORS, plan_factors
from simpletuner.core.linears import LinearShape
from simpletuner.models.omnigen.layers import FACTS

V1 = FACTS.linear_shapes(FACTS.flavours["v1"].transformer)


def test_the_documents_factors_have_the_documented_values() -> None:
    by_factor = {plan.factor: plan for plan in plan_factors(V1)}
    assert tuple(by_factor) == FACTORS == (4, 8, 16, 25, 32, 64)
    attention, _ = by_factor[16].classes
    _, feed_forward = by_factor[8].classes
    assert (attention.class_name, attention.layers, attention.parameters) == ("Attention", 128, 4_751_360)
    assert (feed_forward.class_name, feed_forward.layers) == ("OmniGenFeedForward", 64)
    assert feed_forward.parameters == 37_752_832


def test_the_table_of_the_page_is_what_is_counted() -> None:
    page = (Path(__file__).parents[3] / "docs" / "lycoris.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line[:3].strip("| ").isdecimal()]
    counted = [
        [f"{plan.factor}", *(f"{size.parameters:,}" for size in plan.classes), f"{plan.parameters:,}"]
        for plan in plan_factors(V1)
    ]
    assert [row[:4] for row in rows] == counted
    assert [row[4] for row in rows] == [f"{plan.parameters * 2 / 1e6:,.1f}" for plan in plan_factors(V1)]


def test_a_larger_factor_is_a_smaller_adapter() -> None:
    sizes = [plan.parameters for plan in plan_factors(V1)]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == len(sizes)


def test_factor_25_of_the_low_memory_recipe_is_below_16() -> None:
    (plan,) = plan_factors([LinearShape("q", ("Attention",), 3072, 3072)], (25,))
    assert plan.parameters == 24 * 24 + 128 * 128 == 16_960


def test_shares_are_of_the_whole() -> None:
    for plan in plan_factors(V1):
        assert sum(plan.share(size) for size in plan.classes) == pytest.approx(1)
    (nothing,) = plan_factors([], (8,))
    assert (nothing.parameters, nothing.classes) == (0, ())
