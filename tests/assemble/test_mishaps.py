"""What a machine runs out of becomes an error with a code and a cure; what it is not stays what it is."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import torch

from simpletuner.assemble.mishaps import mishaps_named
from simpletuner.core.errors import DataError, OutOfMemory


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory. Tried ...\nmore"), MemoryError()])
def test_memory_has_its_own_code(error: BaseException) -> None:
    with pytest.raises(OutOfMemory, match="train_batch_size") as caught, mishaps_named(Path("out")):
        raise error
    assert caught.value.exit_code == 4
    assert "more" not in str(caught.value)


def test_a_full_disk_names_the_file() -> None:
    with pytest.raises(DataError, match=r"weights\.bin.*No space") as caught, mishaps_named(Path("out")):
        raise OSError(errno.ENOSPC, "No space left on device", "weights.bin")
    assert caught.value.exit_code == 3


def test_other_errors_pass() -> None:
    with pytest.raises(FileNotFoundError), mishaps_named(Path("out")):
        raise FileNotFoundError("a bug of ours")
