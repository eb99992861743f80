"""Which layers a preset means: as LyCORIS chooses them, but for what it ignores."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lycoris import LycorisNetwork

from simpletuner.adapters.lycoris.selection import Place, select_layers, stray_classes
from simpletuner.adapters.lycoris.settled import places
from simpletuner.core.errors import ConfigError
from tests.models.omnigen.tiny_model import random_omnigen

QUERY = Place(
    "layers.0.attn.to_q", (("layers.0", "Block"), ("layers.0.attn", "Attention"), ("layers.0.attn.to_q", "Linear"))
)
GATE = Place("layers.0.mlp.gate", (("layers.0", "Block"), ("layers.0.mlp", "Mlp"), ("layers.0.mlp.gate", "Linear")))
OUT = Place("proj_out", (("proj_out", "Linear"),))
ALL = (QUERY, GATE, OUT)


@pytest.mark.parametrize(
    ("preset", "chosen"),
    [
        ({}, {QUERY.path: {}, GATE.path: {}, OUT.path: {}}),
        ({"enable_conv": False, "target_module": []}, {QUERY.path: {}, GATE.path: {}, OUT.path: {}}),
        ({"target_module": ["Attention"]}, {QUERY.path: {}}),
        ({"target_module": ["Linear"]}, {QUERY.path: {}, GATE.path: {}, OUT.path: {}}),
        ({"target_name": [r".*\.gate"]}, {GATE.path: {}}),
        ({"target_name": ["layers"]}, {QUERY.path: {}, GATE.path: {}}),
        ({"target_name": ["*gate"], "use_fnmatch": True}, {GATE.path: {}}),
        ({"target_name": ["layers"], "use_fnmatch": True, "target_module": ["Mlp"]}, {GATE.path: {}}),
        ({"module_algo_map": {"Mlp": {"factor": 8}}}, {GATE.path: {"factor": 8}}),
        (
            {"target_module": ["Block"], "module_algo_map": {"Mlp": {"factor": 8}}},
            {QUERY.path: {}, GATE.path: {"factor": 8}},
        ),
        (
            {"module_algo_map": {"Block": {"dim": 2}, "Mlp": {"factor": 8}}},
            {QUERY.path: {"dim": 2}, GATE.path: {"factor": 8}},
        ),
        (
            {"module_algo_map": {"Mlp": {"factor": 8, "dim": 2}}, "name_algo_map": {r".*gate": {"factor": 4}}},
            {GATE.path: {"factor": 4, "dim": 2}},
        ),
        (
            {"name_algo_map": {r".*": {"dim": 1}, QUERY.path: {"dim": 2}}},
            {QUERY.path: {"dim": 2}, GATE.path: {"dim": 1}, OUT.path: {"dim": 1}},
        ),
        ({"target_module": ["Linear"], "exclude_name": [r"layers\.0"]}, {OUT.path: {}}),
        ({"target_module": ["Attention"], "exclude_name": ["layers.0.attn"], "use_fnmatch": True}, {}),
    ],
)
def test_what_is_chosen_and_what_is_particular_to_it(preset: Any, chosen: Any) -> None:
    assert select_layers(ALL, preset) == chosen


@pytest.mark.parametrize(
    ("preset", "stray"),
    [
        ({"target_module": ["Attention"], "module_algo_map": {"Attention": {}, "Mlp": {}}}, ("Mlp",)),
        ({"target_module": ["Attention", "Mlp"], "module_algo_map": {"Mlp": {}}}, ()),
        ({"target_module": ["Block"], "module_algo_map": {"Mlp": {}}}, ()),
        ({"target_module": ["Attention"], "module_algo_map": {"Block": {}}}, ("Block",)),
        ({"target_name": [r".*to_q"], "module_algo_map": {"Mlp": {}}}, ("Mlp",)),
        ({"target_module": ["Attention"], "module_algo_map": {"Mlp": {}}, "exclude_name": [r".*mlp"]}, ()),
        ({"target_module": [], "module_algo_map": {"Mlp": {}}}, ()),
        ({"module_algo_map": {"Mlp": {}}}, ()),
        ({"target_module": ["Attention"]}, ()),
    ],
)
def test_classes_that_are_adapted_though_no_target_means_them(preset: Any, stray: tuple[str, ...]) -> None:
    assert stray_classes(ALL, preset) == stray


def test_an_entry_that_fits_no_chosen_layer_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no adapted layer has a path that fits 'layers\.0\.attn'"):
        select_layers(
            ALL, {"use_fnmatch": True, "target_module": ["Attention"], "name_algo_map": {"layers.0.attn": {}}}
        )


def as_lycoris_does(model: torch.nn.Module, preset: dict[str, Any]) -> dict[str, int]:
    """Names of the layers that LyCORIS itself adapts with `preset`, and their rank."""
    former = {key: value for key, value in vars(LycorisNetwork).items() if key.isupper()}
    logging.getLogger("LyCORIS").setLevel(logging.ERROR)
    try:
        LycorisNetwork.apply_preset(preset)
        return {layer.lora_name: layer.lora_dim for layer in LycorisNetwork(model, network_module="lora").loras}
    finally:
        for key, value in former.items():
            setattr(LycorisNetwork, key, value)


CLASSES = ["Attention", "OmniGenFeedForward", "OmniGenBlock", "TimestepEmbedding", "Linear"]


@given(
    targets=st.lists(st.sampled_from(CLASSES), min_size=1, unique=True),
    by_class=st.dictionaries(st.sampled_from(CLASSES[:2]), st.integers(1, 9), max_size=2),
    names=st.lists(st.sampled_from([r"proj_out$", r"layers\.1\.mlp\.down_proj$", "absent"]), unique=True),
    excluded=st.lists(st.sampled_from([r"layers\.0", r".*to_k", "t_embedder"]), unique=True),
)
def test_without_entries_by_name_it_is_what_lycoris_chooses(
    targets: list[str], by_class: dict[str, int], names: list[str], excluded: list[str]
) -> None:
    preset = {
        "target_module": targets,
        "target_name": names,
        "exclude_name": excluded,
        "module_algo_map": {name: {"dim": dim} for name, dim in by_class.items()},
    }
    model = random_omnigen_once()
    ours = select_layers(places(model), preset)
    named = {f"lycoris_{path}".replace(".", "_"): own.get("dim", 4) for path, own in ours.items()}
    assert named == as_lycoris_does(model, preset)


def random_omnigen_once(kept: dict[str, torch.nn.Module] = {}) -> torch.nn.Module:  # noqa: B006  # one for all examples
    return kept.setdefault("model", random_omnigen())
