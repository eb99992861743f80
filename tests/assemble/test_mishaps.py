"""What a machine runs out of becomes an error with a code and a cure; what it is not stays what it is."""

from __future__ import annotations

import errno
import sqlite3
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


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.EACCES, "right to read and write"),
        (errno.EPERM, "right to read and write"),
        (errno.ENAMETOOLONG, "shorter"),
        (errno.EISDIR, "move it away"),
    ],
)
def test_what_a_disk_refuses_has_a_cure(number: int, told: str) -> None:
    with pytest.raises(DataError, match=told) as caught, mishaps_named(Path("out")):
        raise OSError(number, "no", "cache/index.sqlite")
    assert caught.value.file == "cache/index.sqlite"


def test_an_index_that_is_locked_is_named() -> None:
    with pytest.raises(DataError, match="database is locked") as caught, mishaps_named(Path("out")):
        raise sqlite3.OperationalError("database is locked")
    assert "no other process" in str(caught.value.cure)


def test_other_errors_pass() -> None:
    with pytest.raises(FileNotFoundError), mishaps_named(Path("out")):
        raise FileNotFoundError("a bug of ours")
