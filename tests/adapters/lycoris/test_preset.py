"""Generic class names in a preset, and what they may not be."""

from __future__ import annotations

from typing import Any

import pytest

from simpletuner.adapters.lycoris.preset import (
    class_shares,
    require_matches,
    require_name_matches,
    require_patterns,
    resolve_preset,
    resolved_classes,
    stray_lines,
)
from simpletuner.adapters.lycoris.selection import Place
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


def test_a_class_in_the_map_alone_is_told_by_the_users_own_name() -> None:
    gate = Place("mlp.gate", (("mlp", "OmniGenFeedForward"), ("mlp.gate", "Linear")))
    preset = {"target_module": ["Attention"], "module_algo_map": {"FeedForward": {"factor": 8}}}
    (told,) = stray_lines(preset, ALIASES, [gate])
    assert told.startswith("lycoris_config: FeedForward is in module_algo_map but not in target_module, and is adapted")
    assert stray_lines({**preset, "target_module": ["OmniGenFeedForward"]}, ALIASES, [gate]) == ()


PATHS = ["", "layers.0", "layers.0.attn", "layers.0.attn.to_q", "layers.10", "proj_out"]


@pytest.mark.parametrize(
    "preset",
    [
        {"target_name": ["proj_out", r"layers\.\d+\.attn"]},
        {"name_algo_map": {"layers": {}}},
        {"exclude_name": [r".*to_q$"]},
        {"use_fnmatch": True, "target_name": ["*.to_q", "layers.?"], "exclude_name": ["proj_*"]},
        {"use_fnmatch": True, "target_name": ["proj_out"]},
        {"target_module": ["Attention"]},
    ],
)
def test_patterns_that_fit_a_path(preset: Any) -> None:
    require_name_matches(preset, PATHS)


@pytest.mark.parametrize(
    ("preset", "told"),
    [
        ({"target_name": ["layers.0", "to_q"]}, "apply_preset.target_name: .*fits 'to_q', read as a regular"),
        ({"name_algo_map": {"proj_in": {}}}, "apply_preset.name_algo_map: .*'proj_in'"),
        ({"exclude_name": ["$"]}, "apply_preset.exclude_name: "),
        ({"use_fnmatch": True, "target_name": [r"layers\.0"]}, "read as a shell wildcard"),
        ({"use_fnmatch": True, "target_name": ["to_q"]}, "for instance layers.0.attn.to_q"),
    ],
)
def test_a_pattern_that_fits_nothing_is_refused(preset: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        require_name_matches(preset, PATHS)


def test_what_is_no_regular_expression_is_refused_with_the_way_out() -> None:
    with pytest.raises(ConfigError, match=r"'\*\.to_q' is no regular expression.*\n.*use_fnmatch"):
        require_patterns({"target_name": ["*.to_q"]})
    require_patterns({"target_name": ["*.to_q"], "use_fnmatch": True})


def test_the_classes_of_a_resolved_preset() -> None:
    preset = {"target_module": ["Attention", "FeedForward"], "module_algo_map": {"OmniGenBlock": {}, "FeedForward": {}}}
    assert resolved_classes(resolve_preset(preset, ALIASES)) == ("Attention", "OmniGenBlock", "OmniGenFeedForward")
    assert resolved_classes({}) == ()


def test_shares_count_only_what_is_adapted() -> None:
    shapes = [LinearShape(f"layers.{i}.q", ("Block", "Attention"), 4, 4) for i in range(3)]
    (share,) = class_shares(["Attention"], shapes, {"layers.0.q": 10, "layers.2.q": 12})
    assert share.line() == "Attention: 2 of 3 linears, 22 parameters"
