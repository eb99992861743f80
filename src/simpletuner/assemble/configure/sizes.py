"""How large an adapter would be, by its answers: of the real OmniGen, or of the flavour that a card is for."""

from __future__ import annotations

import math
from functools import cache

from simpletuner.adapters.lokr.planner import FactorPlan, plan_factors
from simpletuner.adapters.lycoris.sizes import tensor_shapes
from simpletuner.assemble.adapter_plan import known_shapes
from simpletuner.core.linears import LinearShape
from simpletuner.models.catalogue import family_facts

BYTES = 2
"""Of one value: adapters are bf16 on a card."""
_MILLION = 1_000_000
_FAMILY = "omnigen"
_ATTENTION = "Attention"


@cache
def _shapes(flavour: str | None) -> tuple[LinearShape, ...]:
    facts = family_facts(_FAMILY)
    return known_shapes(facts.flavour(flavour).source, facts)


@cache
def _plan(factor: int, flavour: str | None) -> FactorPlan:
    return plan_factors(_shapes(flavour), (factor,))[0]


def _by_class(attention: int, feed_forward: int, flavour: str | None) -> tuple[int, int]:
    """The values in attention and in feed-forward."""
    sizes = {factor: _plan(factor, flavour).classes for factor in (attention, feed_forward)}
    own = sum(size.parameters for size in sizes[attention] if size.class_name == _ATTENTION)
    return own, sum(size.parameters for size in sizes[feed_forward] if size.class_name != _ATTENTION)


def lokr_values(attention: int, feed_forward: int, flavour: str | None = None) -> int:
    """The values that a LoKr with these factors trains."""
    return sum(_by_class(attention, feed_forward, flavour))


def lokr_text(attention: int, feed_forward: int, flavour: str | None = None) -> str:
    """For a person: its size, then the shares of attention and of feed-forward: ``42.5 M values, 85 MB, 11% + 89%``."""
    values = _by_class(attention, feed_forward, flavour)
    shares = " + ".join(f"{value / sum(values):.0%}" for value in values)
    return f"{size_text(sum(values))}, {shares}"


def lora_values(rank: int, flavour: str | None = None) -> int:
    """The values that a standard LoRA of every layer of the blocks trains."""
    found = (
        tensor_shapes(each.out_features, each.in_features, {"algo": "lora", "dim": rank}) for each in _shapes(flavour)
    )
    return sum(math.prod(shape) for tensors in found for shape in tensors or ())


def size_text(values: int) -> str:
    """For a person: ``42.5 M values, 85 MB``; of fewer than a million the number alone."""
    if values < _MILLION:
        return f"{values:,} values"
    return f"{values / 1e6:,.1f} M values, {values * BYTES / 1e6:,.0f} MB"
