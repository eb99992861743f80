from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.adapters.lokr.size import LokrShape, lokr_shape
from simpletuner.adapters.lycoris.geometry import StoredLayer, match_layers, stored_settings
from simpletuner.core.errors import ConfigError

LORA = StoredLayer({"lora_down.weight": (4, 64), "lora_up.weight": (32, 4), "alpha": ()}, {"alpha": 2.0})


def whole(shape: LokrShape, alpha: float = 1.0) -> StoredLayer:
    return StoredLayer({"lokr_w1": shape.w1, "lokr_w2": shape.w2, "alpha": ()}, {"alpha": alpha})


def test_what_layers_share_stands_at_the_top() -> None:
    other = StoredLayer({"lora_down.weight": (8, 64), "lora_up.weight": (32, 8)}, {})
    made = stored_settings({"a.b": LORA, "a.c": LORA, "d": other}, "lora_unet")
    assert (made["algo"], made["linear_dim"], made["linear_alpha"], made["dora_wd"]) == ("lora", 4, 2.0, False)
    preset = made["apply_preset"]
    assert (preset["target_name"], preset["lora_prefix"]) == (["a.b", "a.c", "d"], "lora_unet")
    assert preset["name_algo_map"] == {"d": {"algo": "lora", "dim": 8, "alpha": 8}}


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (LORA, {"algo": "lora", "linear_dim": 4, "linear_alpha": 2.0}),
        (
            StoredLayer({"lora_down.weight": (4, 8, 1, 1), "lora_mid.weight": (4, 4, 3, 3), "dora_scale": (1, 8)}, {}),
            {"linear_dim": 4, "use_tucker": True, "dora_wd": True, "wd_on_output": False},
        ),
        (StoredLayer({"hada_w1_b": (6, 64), "dora_scale": (64, 1)}, {}), {"algo": "loha", "wd_on_output": True}),
        (
            StoredLayer({"lokr_w1_a": (8, 2), "lokr_w1_b": (2, 8), "lokr_w2_a": (8, 2), "lokr_w2_b": (2, 8)}, {}),
            {"algo": "lokr", "linear_dim": 2, "factor": -1, "decompose_both": True, "full_matrix": False},
        ),
        (StoredLayer({"oft_blocks": (16, 4, 4), "alpha": ()}, {"alpha": 0.5}), {"algo": "diag-oft", "constraint": 0.5}),
        (StoredLayer({"oft_blocks": (3, 8, 8, 8), "rescale": (64, 1)}, {}), {"algo": "boft", "rescaled": True}),
        (StoredLayer({"a1.weight": (64, 4), "a2.weight": (4, 64)}, {}), {"algo": "glora", "linear_dim": 4}),
        (StoredLayer({"weight": (64,), "on_input": ()}, {"on_input": 0}), {"algo": "ia3"}),
        (StoredLayer({"diff": (64, 64)}, {}), {"algo": "full"}),
        (StoredLayer({"q_layer.weight": (4, 64), "lambda_layer": (1, 4)}, {}), {"algo": "tlora", "linear_dim": 4}),
    ],
)
def test_each_method_is_told_by_its_tensors(layer: StoredLayer, expected: dict[str, Any]) -> None:
    assert stored_settings({"x": layer}, "lycoris").items() >= expected.items()


@given(
    out=st.integers(2, 3072),
    inside=st.integers(2, 3072),
    factor=st.sampled_from([-1, 2, 4, 8, 16, 25, 48]),
    unbalanced=st.booleans(),
)
def test_the_factor_of_a_lokr_splits_its_layer_as_it_was_split(
    *, out: int, inside: int, factor: int, unbalanced: bool
) -> None:
    shape = lokr_shape(out, inside, factor)
    if unbalanced:
        shape = LokrShape((shape.w2[0], shape.w1[1]), (shape.w1[0], shape.w2[1]))
    made = stored_settings({"x": whole(shape, 10000)}, "lycoris")
    found = lokr_shape(out, inside, made["factor"])
    if made["unbalanced_factorization"]:
        found = LokrShape((found.w2[0], found.w1[1]), (found.w1[0], found.w2[1]))
    assert found == shape
    assert (made["full_matrix"], made["linear_dim"]) == (True, 10000)


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        ({"x": StoredLayer({"w_norm": (64,)}, {})}, "x is a normalisation layer"),
        ({"x": StoredLayer({"mystery": (64,)}, {})}, "x is unknown tensors: mystery"),
        ({"x": StoredLayer({"weight": (64,), "on_input": ()}, {"on_input": 1})}, "scales inputs"),
        ({"x": whole(LokrShape((3, 5), (7, 2)))}, r"no factor splits a layer into \(3, 5\) and \(7, 2\)"),
        ({"x": StoredLayer({"lokr_w1": (2, 2), "lokr_w2": (4, 4, 3, 3)}, {})}, "over a convolution"),
        (
            {"x": LORA, "y": StoredLayer({**LORA.shapes, "dora_scale": (32, 1)}, {})},
            "layers . and . differ in dora_wd",
        ),
    ],
)
def test_what_no_network_can_be_made_of(layers: dict[str, StoredLayer], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        stored_settings(layers, "lycoris")


@pytest.mark.parametrize("prefix", ["lycoris", "lora_unet", "x"])
def test_the_prefix_is_what_stands_before_the_paths(prefix: str) -> None:
    paths = dict.fromkeys(["layers.0.attn.to_q", "layers.0.attn.to_out.0", "to_q"])
    names = dict.fromkeys((f"{prefix}_layers_0_attn_to_q", f"{prefix}_layers_0_attn_to_out_0"), LORA)
    found = {
        f"{prefix}_layers_0_attn_to_q": "layers.0.attn.to_q",
        f"{prefix}_layers_0_attn_to_out_0": "layers.0.attn.to_out.0",
    }
    assert match_layers(names, paths) == (prefix, found)


def test_a_file_for_another_model_is_told_by_its_first_layer() -> None:
    with pytest.raises(ConfigError, match="1 of its 2 layers are not in this model: lycoris_blocks_0_to_q"):
        match_layers({"lycoris_to_q": LORA, "lycoris_blocks_0_to_q": LORA}, {"to_q": None})
    with pytest.raises(ConfigError, match="1 of its 1 layers"):
        match_layers({"unet_down_0": LORA}, {"to_q": None})
