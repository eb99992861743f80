from __future__ import annotations

from typing import Any

import pytest

from simpletuner.config.files.lycoris_rules import (
    idle_lines,
    needs_dense_weight,
    quantised_problems,
    runs_as_branch,
)
from simpletuner.config.reading.fill import Source


@pytest.mark.parametrize(
    ("settings", "branch"),
    [
        ({"algo": "lokr"}, True),
        ({"algo": "lokr", "dora_wd": False, "rank_dropout": 0.0}, True),
        ({"algo": "lokr", "dora_wd": True}, False),
        ({"algo": "lokr", "rank_dropout": 0.1}, False),
        ({"algo": "lokr", "bypass_mode": False}, False),
        ({"algo": "lora"}, True),
        ({"algo": "lora", "rank_dropout": 0.1}, True),
        ({"algo": "lora", "dora_wd": True}, False),
        ({"algo": "lora", "bypass_mode": False}, False),
        ({"algo": "tlora"}, True),
        ({"algo": "diag-oft"}, False),
        ({"algo": "full"}, False),
    ],
)
def test_a_method_is_a_branch_where_that_is_the_same_function(settings: Any, branch: bool) -> None:
    assert runs_as_branch(settings) is branch


@pytest.mark.parametrize("algo", ["lora", "locon", "loha", "lokr", "glora", "ia3", "boft"])
def test_a_branch_needs_no_dense_weight(algo: str) -> None:
    assert needs_dense_weight({"algo": algo}) is None


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"algo": "tlora"}, "singular vectors"),
        ({"algo": "diag-oft"}, "rotates the weight"),
        ({"algo": "dylora"}, "added to the weight"),
        ({"algo": "full"}, "as large as the weight"),
        ({"algo": "lokr", "dora_wd": True}, "dora_wd normalises"),
        ({"algo": "lokr", "rank_dropout": 0.1}, "rank_dropout with algo lokr"),
        ({"algo": "lora", "bypass_mode": False}, "bypass_mode false with algo lora"),
    ],
)
def test_what_reads_the_weight_needs_it_dense(settings: Any, reason: str) -> None:
    assert reason in str(needs_dense_weight(settings))


def test_every_place_of_a_file_is_looked_at_over_a_quantised_base() -> None:
    preset = {"module_algo_map": {"Attention": {"algo": "tlora"}, "FeedForward": {"factor": 8}}}
    problems = quantised_problems({"algo": "lokr", "apply_preset": preset}, Source("lycoris.json"))
    assert [problem.key for problem in problems] == ["apply_preset.module_algo_map.Attention"]
    assert "the base is quantised" in problems[0].reason
    assert not quantised_problems({"algo": "lokr"}, Source("lycoris.json"))


@pytest.mark.parametrize(
    ("raw", "idle"),
    [
        ({"algo": "lokr", "factor": 16, "full_matrix": True}, []),
        ({"algo": "lora", "factor": 16, "full_matrix": False}, ["factor is not read (it is for algo lokr)"]),
        ({"algo": "lora", "block_size": 4}, ["block_size is not read (it is for algo dylora)"]),
        (
            {"algo": "loha", "apply_preset": {"module_algo_map": {"Attention": {"factor": 16}}}},
            ["factor is not read (it is for algo lokr)"],
        ),
        ({"algo": "lora", "apply_preset": {"name_algo_map": {"x": {"algo": "lokr", "factor": 16}}}}, []),
        ({"algo": "lora", "factor": 8, "apply_preset": {"module_algo_map": {"Attention": {"algo": "lokr"}}}}, []),
        ({"algo": "lokr", "wd_on_output": False}, ["wd_on_output is not read (dora_wd is off)"]),
        ({"algo": "lokr", "wd_on_output": False, "dora_wd": True}, []),
        (
            {"algo": "lokr", "decompose_both": True, "full_matrix": True},
            ["decompose_both is not read (full_matrix keeps both factors whole)"],
        ),
        ({"algo": "lora", "decompose_both": True}, ["decompose_both is not read (it is for algo lokr)"]),
    ],
)
def test_settings_of_other_methods_are_told(raw: Any, idle: list[str]) -> None:
    assert list(idle_lines(raw)) == [f"lycoris_config: {line}" for line in idle]
