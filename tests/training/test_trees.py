"""Nested state into plain tensors and JSON, and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import Tensor

from simpletuner.training.trees import put_together, take_apart


def round_trip(value: Any) -> Any:
    tensors: dict[str, Tensor] = {}
    tree = json.loads(json.dumps(take_apart(value, "x", tensors)))
    return put_together(tree, "x", tensors)


@pytest.mark.parametrize("value", [0, 3, 0.1, float("inf"), -0.0, True, False, None, "text", [], {}, [[], [1, None]]])
def test_what_is_no_tensor_comes_back_with_its_type(value: object) -> None:
    assert repr(round_trip(value)) == repr(value)


def test_tensors_come_back_wherever_they_lie() -> None:
    value = {"a": torch.arange(3), "b": [torch.ones(2, 2), [torch.tensor(1.5)]], "c": {"d": torch.zeros(0)}}
    back = round_trip(value)
    assert torch.equal(back["a"], value["a"])
    assert torch.equal(back["b"][0], value["b"][0])
    assert back["b"][1][0].shape == ()
    assert back["c"]["d"].numel() == 0


def test_names_say_where_a_tensor_lies() -> None:
    tensors: dict[str, Tensor] = {}
    take_apart({"GG": [torch.zeros(1), torch.ones(1)]}, "layer.weight", tensors)
    assert tensors.keys() == {"layer.weight/GG/0", "layer.weight/GG/1"}


def test_what_comes_back_shares_no_memory() -> None:
    tensors: dict[str, Tensor] = {}
    tree = take_apart(torch.zeros(2), "x", tensors)
    put_together(tree, "x", tensors).add_(1)
    assert tensors["x"].sum() == 0


def test_a_transposed_tensor_is_written_in_rows() -> None:
    assert round_trip(torch.arange(6).view(2, 3).t()).tolist() == [[0, 3], [1, 4], [2, 5]]


def test_what_has_no_form_is_told_by_its_name() -> None:
    with pytest.raises(TypeError, match="x/group is a set"):
        take_apart({"group": {1}}, "x", {})
