"""The tensors counted without torch are those that LyCORIS makes."""

from __future__ import annotations

from typing import Any

import pytest
from lycoris.modules.full import FullModule
from lycoris.modules.locon import LoConModule
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule
from torch import nn

from simpletuner.adapters.lycoris.sizes import is_whole, tensor_shapes

CLASSES = {"lora": LoConModule, "locon": LoConModule, "loha": LohaModule, "lokr": LokrModule, "full": FullModule}
RENAMED = {"dim": "lora_dim", "dora_wd": "weight_decompose", "wd_on_output": "wd_on_out"}


def made(out_features: int, in_features: int, settings: dict[str, Any]) -> list[tuple[int, ...]]:
    """The shapes of what LyCORIS trains."""
    given = {RENAMED.get(key, key): value for key, value in settings.items() if key != "algo"}
    layer = CLASSES[settings["algo"]]("lycoris_x", nn.Linear(in_features, out_features, bias=False), **given)
    return sorted(tuple(parameter.shape) for parameter in layer.parameters() if parameter.requires_grad)


@pytest.mark.parametrize("size", [(96, 96), (256, 96), (96, 256), (50, 30)])
@pytest.mark.parametrize(
    "settings",
    [
        {"algo": "lora", "dim": 8},
        {"algo": "locon"},
        {"algo": "loha", "dim": 4},
        {"algo": "lokr", "dim": 10_000, "factor": 16},
        {"algo": "lokr", "dim": 10_000, "factor": 8},
        {"algo": "lokr", "dim": 10_000},
        {"algo": "lokr", "dim": 4, "factor": 4},
        {"algo": "lokr", "dim": 2, "factor": 8, "decompose_both": True},
        {"algo": "lokr", "dim": 2, "factor": 8, "decompose_both": True, "full_matrix": True},
        {"algo": "lokr", "dim": 3, "factor": 8, "unbalanced_factorization": True},
        {"algo": "lokr", "dim": 10_000, "factor": 7},
        {"algo": "lokr", "dim": 10_000, "factor": 4, "dora_wd": True},
        {"algo": "lora", "dim": 4, "dora_wd": True, "wd_on_output": False},
        {"algo": "lora", "dim": 4, "use_scalar": True},
        {"algo": "full"},
    ],
    ids=str,
)
def test_they_are_lycoris_own(size: tuple[int, int], settings: dict[str, Any]) -> None:
    found = tensor_shapes(*size, settings)
    assert found is not None
    assert sorted(found) == made(*size, settings)


def test_a_method_that_is_not_counted() -> None:
    assert tensor_shapes(64, 64, {"algo": "boft", "dim": 4}) is None


def test_when_alpha_has_no_effect() -> None:
    assert is_whole(96, 96, {"algo": "lokr", "dim": 10_000, "factor": 16})
    assert is_whole(96, 96, {"algo": "lokr", "dim": 2, "factor": 4, "full_matrix": True})
    assert not is_whole(96, 96, {"algo": "lokr", "dim": 2, "factor": 4})
    assert not is_whole(96, 96, {"algo": "lora", "dim": 10_000})
