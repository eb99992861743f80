"""Generic class names in a preset, and what they may not be."""

from __future__ import annotations

import pytest

from simpletuner.adapters.preset import class_shares, require_matches, resolve_preset
from simpletuner.core.errors import ConfigError
from simpletuner.core.linears import LinearShape

ALIASES = {"FeedForward": "OmniGenFeedForward"}


def test_generic_names_become_the_models_own_in_both_places() -> None:
    preset = {"target_module": ["Attention", "FeedForward"], "module_algo_map": {"FeedForward": {"factor": 8}}}
    assert resolve_preset(preset, ALIASES) == {
        "target_module": ["Attention", "OmniGenFeedForward"],
        "module_algo_map": {"OmniGenFeedForward": {"factor": 8}},
    }


def test_what_is_not_an_alias_stays() -> None:
    preset = {"target_name": ["layers.0.*"], "target_module": ["OmniGenBlock"]}
    assert resolve_preset(preset, ALIASES) == preset


def test_a_name_in_the_map_alone_must_match_too() -> None:
    with pytest.raises(ConfigError, match="Atention"):
        require_matches({"target_module": ["Attention"], "module_algo_map": {"Atention": {}}}, ["Attention"])
    require_matches({"target_module": ["Attention"]}, ["Attention"])


def test_shares_count_only_what_is_adapted() -> None:
    shapes = [LinearShape(f"layers.{i}.q", ("Block", "Attention"), 4, 4) for i in range(3)]
    (share,) = class_shares(["Attention"], shapes, {"layers.0.q": 10, "layers.2.q": 12})
    assert share.line() == "Attention: 2 of 3 linears, 22 parameters"
