"""The table of bytes against what optimizers really keep."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from simpletuner.config.optimizers.names import KEEPS_BF16, OPTIMIZERS
from simpletuner.config.optimizers.state import state_bytes
from simpletuner.training.optimizers.from_bitsandbytes import SHARED_TABLES
from simpletuner.training.optimizers.from_torchao import is_packed, unpack
from tests.training.optimizers.harness import Trained

# A step count, a product of betas, a squared epsilon: not counted.
_SMALL = 12


def kept(value: Any) -> int:
    if is_packed(value):
        return sum(kept(part) for part in unpack(value)[0].values())
    if isinstance(value, list):
        return sum(kept(item) for item in value)
    return value.nbytes if isinstance(value, Tensor) else 0


@pytest.mark.parametrize(
    ("name", "dtype"),
    [*((name, torch.float32) for name in OPTIMIZERS), *((name, torch.bfloat16) for name in sorted(KEEPS_BF16))],
)
def test_the_table_tells_what_is_kept(name: str, dtype: torch.dtype) -> None:
    trained = Trained(name, dtype)
    trained.train(2)
    for parameter in trained.parameters.values():
        state = trained.optimizer.state[parameter]
        real = sum(kept(value) for key, value in state.items() if key not in SHARED_TABLES)
        assert 0 <= real - state_bytes(name, parameter.shape, parameter.element_size()) <= _SMALL, parameter.shape


def test_the_lowest_recipe_keeps_one_byte_a_weight() -> None:
    assert state_bytes("bnb-lion8bit-paged", (192, 2048)) == 192 * 2048 * (1 + 4 / 256)
    assert state_bytes("torch-adamw", (192, 2048)) == 192 * 2048 * 8
