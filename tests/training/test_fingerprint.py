"""What differs between two runs is told setting by setting, and decides whether they are one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simpletuner.core.errors import DataError
from simpletuner.training.fingerprint import Identity, differences, require_same_run

SAVED: dict[str, Any] = {
    "optimizer": "adamw_bf16",
    "lycoris_config": {"algo": "lokr", "apply_preset": {"module_algo_map": {"Attention": {"factor": 16}}}},
    "datasets": {"flat": {"train_batch_size": 4, "crop": True, "repeats": 0}},
    "gradient_accumulation_steps": 1,
}


def changed(**values: Any) -> dict[str, Any]:
    return {**SAVED, **values}


def test_one_line_for_the_key_that_differs() -> None:
    factor = {"algo": "lokr", "apply_preset": {"module_algo_map": {"Attention": {"factor": 8}}}}
    assert [str(one) for one in differences(SAVED, changed(lycoris_config=factor))] == [
        "lycoris_config.apply_preset.module_algo_map.Attention.factor was 16, is 8"
    ]


def test_keys_that_one_of_them_lacks() -> None:
    found = differences({"a": {"b": 1}, "gone": [1, 2]}, {"a": {"b": 1, "c": None}})
    assert [str(one) for one in found] == ["a.c was not set, is null", "gone was [1, 2], is not set"]


def test_a_block_that_one_of_them_lacks_is_one_line() -> None:
    added = changed(datasets={**SAVED["datasets"], "more": {"crop": True, "repeats": 0}})
    assert [str(one) for one in differences(SAVED, added)] == ["datasets.more was not set, is set"]
    assert [str(one) for one in differences(added, SAVED)] == ["datasets.more was set, is not set"]
    with pytest.raises(DataError, match=r"datasets\.more was not set"):
        require_same_run(Path("c"), SAVED, Identity(added, may_change_batch=True))
    assert differences({"x": {"b": {}}}, {"x": {}}) != ()


def test_lists_of_blocks_are_told_by_place() -> None:
    found = differences({"d": [{"x": 1}, {"x": 2}]}, {"d": [{"x": 1}, {"x": 3}, {"x": 4}]})
    assert [str(one) for one in found] == ["d[1].x was 2, is 3", "d[2].x was not set, is 4"]


def test_a_tuple_is_the_list_that_a_file_makes_of_it() -> None:
    assert differences({"x": [1, 2], "y": {}}, {"y": {}, "x": (1, 2)}) == ()


def test_long_values_are_shortened() -> None:
    (found,) = differences({"x": "a" * 500}, {"x": "b"})
    assert len(str(found)) < 100


def test_another_run_is_refused_with_every_difference() -> None:
    now = changed(optimizer="torch-adamw", gradient_accumulation_steps=2)
    with pytest.raises(DataError) as caught:
        require_same_run(Path("checkpoint-5"), SAVED, Identity(now))
    told = str(caught.value).splitlines()
    assert told[0] == "checkpoint-5: resume_from_checkpoint: this checkpoint belongs to a different run:"
    assert told[1:3] == [
        "  gradient_accumulation_steps was 1, is 2",
        '  optimizer was "adamw_bf16", is "torch-adamw"',
    ]
    assert "--fresh" in told[3]


def test_a_batch_may_change_where_the_user_says_so() -> None:
    now = changed(datasets={"flat": {"train_batch_size": 8, "crop": True, "repeats": 0}})
    with pytest.raises(DataError, match="i_know_what_i_am_doing=true"):
        require_same_run(Path("c"), SAVED, Identity(now))
    found = require_same_run(Path("c"), SAVED, Identity(now, may_change_batch=True))
    assert [str(one) for one in found] == ["datasets.flat.train_batch_size was 4, is 8"]
    both = {**now, "optimizer": "torch-adamw"}
    with pytest.raises(DataError) as caught:
        require_same_run(Path("c"), SAVED, Identity(both, may_change_batch=True))
    assert "train_batch_size" not in str(caught.value)


def test_the_same_run_has_no_differences() -> None:
    assert require_same_run(Path("c"), SAVED, Identity(changed())) == ()


def test_of_a_young_setting_an_older_checkpoint_need_not_know() -> None:
    identity = Identity(SAVED | {"commit": "b"}, young=frozenset({"commit"}))
    assert require_same_run(Path("checkpoint-5"), SAVED, identity) == ()
    assert require_same_run(Path("checkpoint-5"), SAVED | {"commit": "b"}, identity) == ()
    with pytest.raises(DataError, match='commit was "a", is "b"'):
        require_same_run(Path("checkpoint-5"), SAVED | {"commit": "a"}, identity)
    with pytest.raises(DataError, match='commit was not set, is "b"'):
        require_same_run(Path("checkpoint-5"), SAVED, Identity(SAVED | {"commit": "b"}))
