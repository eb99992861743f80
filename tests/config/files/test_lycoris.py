from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simpletuner.config.files.lycoris import parse_lycoris, read_lycoris
from simpletuner.core.errors import ConfigError

DOCUMENT = Path(__file__).parents[2] / "fixtures" / "document" / "lycoris_config.json"
FILE = Path("lycoris_config.json")
LOKR = {"algo": "lokr", "multiplier": 1.0, "linear_dim": 10000, "linear_alpha": 1}


def test_the_documents_file() -> None:
    config = read_lycoris(DOCUMENT)
    assert (config.algo, config.linear_dim, config.linear_alpha, config.factor) == ("lokr", 10000, 1, 16)
    assert config.apply_preset is not None
    assert config.apply_preset.target_module == ("Attention", "FeedForward")
    assert config.apply_preset.module_algo_map == {"Attention": {"factor": 16}, "FeedForward": {"factor": 8}}
    assert config.raw == json.loads(DOCUMENT.read_text())


def test_texts_become_values_and_comments_go() -> None:
    config = parse_lycoris(
        {
            "__note": "x",
            "multiplier": "1",
            "linear_dim": "8",
            "linear_alpha": "4",
            "full_matrix": "yes",
            "dropout": "0.1",
            "bypass_mode": "on",
            "algo": " LoHa ",
            "apply_preset": {"__note": 1, "use_fnmatch": "true", "name_algo_map": {"*.to_q": {"dim": "4"}}},
        },
        FILE,
    )
    assert config.raw == {
        "algo": "loha",
        "multiplier": 1.0,
        "linear_dim": 8,
        "linear_alpha": 4.0,
        "full_matrix": True,
        "dropout": 0.1,
        "bypass_mode": True,
        "apply_preset": {"use_fnmatch": True, "name_algo_map": {"*.to_q": {"dim": 4}}},
    }


def test_the_rank_may_be_left_out_with_a_full_matrix() -> None:
    without = {key: value for key, value in LOKR.items() if key != "linear_dim"}
    assert parse_lycoris(without | {"full_matrix": True}, FILE).linear_dim is None
    with pytest.raises(ConfigError, match="linear_dim: is missing"):
        parse_lycoris(without, FILE)


def test_without_an_algorithm_it_is_lora_and_without_a_preset_there_is_none() -> None:
    config = parse_lycoris({"multiplier": 1, "linear_dim": 4, "linear_alpha": 1}, FILE)
    assert config.raw["algo"] == "lora"
    assert config.apply_preset is None
    assert "apply_preset" not in config.raw


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"algo": "lokrr"}, "did you mean 'lokr'?"),
        ({"multiplier": None}, "multiplier: is missing"),
        ({"linear_alpha": ""}, "linear_alpha: is missing"),
        ({"multiplier": 0}, "must be above 0"),
        ({"linear_dim": 0}, "must be at least 1"),
        ({"linear_dim": "big"}, "'big' is not a number"),
        ({"factor": 0}, "'0' splits nothing"),
        ({"factr": 16}, "factr: unknown key"),
        ({"factr": 16}, "did you mean 'factor'?"),
        ({"apply_preset": "full"}, "must be an object"),
        ({"apply_preset": {"target_modules": []}}, "apply_preset.target_modules: unknown key"),
        ({"apply_preset": {"target_module": "Attention"}}, "must be a list of names"),
        ({"apply_preset": {"target_module": [1]}}, "must be a list of names"),
        ({"apply_preset": {"module_algo_map": ["Attention"]}}, "must be an object"),
        ({"apply_preset": {"module_algo_map": {"Attention": 16}}}, "'Attention' must hold an object"),
        ({"apply_preset": {"module_algo_map": {"Attention": {"linear_dim": 4}}}}, "did you mean 'dim'?"),
        ({"apply_preset": {"module_algo_map": {"Attention": {"factr": 4}}}}, "did you mean 'factor'?"),
        ({"apply_preset": {"module_algo_map": {"Attention": {"factor": "x"}}}}, "'x' is not a number"),
        ({"apply_preset": {"use_fnmatch": "perhaps"}}, "neither on nor off"),
        ({"algo": "dylora", "linear_dim": 6}, "6 is no multiple of block_size 4"),
        ({"algo": "dylora", "bypass_mode": True}, "bypass_mode true fails with algo dylora"),
        ({"algo": "full", "bypass_mode": True}, "knows no bypass_mode"),
        ({"algo": "tlora", "bypass_mode": False}, "masks each picture's ranks apart"),
        ({"algo": "tlora", "linear_dim": 4, "tlora_min_rank": 5}, "tlora_min_rank 5 is above the rank, 4"),
        ({"algo": "ia3", "use_scalar": True}, "use_scalar has no effect with algo ia3"),
        ({"algo": "glora", "use_tucker": True}, "use_tucker has no effect with algo glora"),
        ({"algo": "glora", "rank_dropout": 0.1}, "keeps the share that it should drop"),
        ({"algo": "diag-oft", "rank_dropout": 0.1}, "drops parts of the layer itself"),
        ({"algo": "lora", "rescaled": True}, "rescaled: is read by algo boft and diag-oft alone"),
        ({"train_norm": True}, "RMSNorm"),
        ({"train_norm": True}, "cure: write false"),
        *(({key: 1}, f"{key}: '1.0' is out of range") for key in ("dropout", "rank_dropout", "module_dropout")),
        ({"rs_lora": "true"}, "rs_lora: is not read by LyCORIS"),
        ({"rank_dropout_scale": True}, "rank_dropout_scale: is not read by LyCORIS"),
        ({"tlora_min_rank": 1}, "tlora_min_rank: is read by algo tlora alone"),
        ({"tlora_alpha": 0}, "tlora_alpha: '0.0' is out of range"),
        *(
            ({"apply_preset": {"module_algo_map": {"Attention": {key: 1}}}}, f"'{key}' cannot be set for some layers")
            for key in ("dropout", "rank_dropout", "module_dropout", "dora_wd", "use_scalar", "constraint", "conv_dim")
        ),
        ({"apply_preset": {"name_algo_map": {"x": {"rs_lora": True}}}}, "'rs_lora' is not read by LyCORIS"),
        ({"bypass_mode": True, "dora_wd": True}, "dora_wd has no effect with algo lokr and bypass_mode true"),
        ({"bypass_mode": True, "rank_dropout": 0.1}, 'set "bypass_mode": false'),
        ({"bypass_mode": False, "dropout": 0.1}, 'set "bypass_mode": true'),
        ({"rank_dropout": 0.1, "dropout": 0.1}, "dropout has no effect with algo lokr and bypass_mode false"),
        ({"algo": "lora", "dropout": 0.1, "bypass_mode": False}, 'set "bypass_mode": true'),
        ({"algo": "diag-oft", "dora_wd": True}, "dora_wd has no effect with algo diag-oft"),
        ({"algo": "diag-oft", "bypass_mode": True}, "bypass_mode true fails with algo diag-oft"),
        (
            {"rank_dropout": 0.1, "apply_preset": {"module_algo_map": {"Attention": {"bypass_mode": True}}}},
            "apply_preset.module_algo_map.Attention: rank_dropout has no effect",
        ),
    ],
)
def test_mistakes(change: Any, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_lycoris(LOKR | change, FILE)
    assert str(FILE) in str(caught.value)
    assert told in str(caught.value)


def test_all_mistakes_come_together() -> None:
    with pytest.raises(ConfigError, match="3 problems") as caught:
        parse_lycoris({"algo": "nope", "linear_dim": 4, "linear_alpha": 1, "x": 1}, FILE)
    for told in ("algo: unknown value", "multiplier: is missing", "x: unknown key"):
        assert told in str(caught.value)


def test_switches_that_are_off_ask_for_nothing_and_are_not_handed_on() -> None:
    off = {"rs_lora": "false", "rank_dropout_scale": False, "tlora_alpha": None, "use_scalar": False}
    assert parse_lycoris(LOKR | off, FILE).raw == LOKR | {"use_scalar": False}


def test_settings_of_one_method_are_read_by_any_layer_that_has_it() -> None:
    tlora = {"module_algo_map": {"Attention": {"algo": "tlora", "dim": 8}}}
    config = parse_lycoris(LOKR | {"tlora_min_rank": "2", "tlora_alpha": 1.5, "apply_preset": tlora}, FILE)
    assert (config.tlora_min_rank, config.tlora_alpha) == (2, 1.5)


def test_what_some_layers_may_have_of_their_own() -> None:
    own = {
        "algo": "lokr",
        "dim": 4,
        "alpha": 2.0,
        "factor": 8,
        "full_matrix": True,
        "decompose_both": False,
        "unbalanced_factorization": True,
        "bypass_mode": False,
    }
    config = parse_lycoris(LOKR | {"apply_preset": {"module_algo_map": {"Attention": own}}}, FILE)
    assert config.raw["apply_preset"]["module_algo_map"]["Attention"] == own
