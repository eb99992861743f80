from __future__ import annotations

import pytest
import torch
from torch import Tensor

from simpletuner.training.parallel.equal import DivergedError, checksum, require_equal
from simpletuner.training.parallel.replicas import Replicas


class Two(Replicas):
    """The first of two processes; the other answers with ``other``."""

    other = 0
    count = 2

    def sum(self, values: Tensor) -> Tensor:
        return values + torch.tensor([0, self.other])


def tensors() -> dict[str, Tensor]:
    return {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(3, dtype=torch.bfloat16), "c": torch.tensor(True)}


def test_one_bit_changes_the_sum() -> None:
    assert checksum(tensors()) == checksum(tensors())
    for name, change in (("a", 5e-7), ("b", 0.01)):
        changed = tensors()
        changed[name].view(-1)[-1] += change
        assert checksum(changed) != checksum(tensors())
    assert checksum({"z" if name == "a" else name: value for name, value in tensors().items()}) != checksum(tensors())
    assert checksum(tensors() | {"a": torch.arange(6.0)}) != checksum(tensors())


def test_processes_that_differ_are_named() -> None:
    two = Two(torch.device("cpu"))
    Two.other = checksum(tensors())
    require_equal(two, tensors(), "the model")
    Two.other += 1
    with pytest.raises(DivergedError, match="do not agree about the model: 1 differ from process 0"):
        require_equal(two, tensors(), "the model")
