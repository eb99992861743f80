"""Sizes as people write them, and a disk's answers as errors to act on."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.core.disk import as_bytes, disk_error, free_bytes, shown_bytes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("100G", 100 << 30),
        ("50M", 50 << 20),
        ("1T", 1 << 40),
        ("500K", 500 << 10),
        ("12345", 12345),
        (" 2 gb ", 2 << 30),
        ("0", 0),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert as_bytes(text) == size


@pytest.mark.parametrize("text", ["", "G", "ten", "1.5G", "-1", "10X", "1e9", "1 2", "\u0663G", "10%"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is no size; write 100G"):
        as_bytes(text)


@given(st.integers(0, 1 << 50))
def test_a_size_is_shown_in_its_largest_unit(size: int) -> None:
    number, unit = shown_bytes(size).split()
    worth = {"bytes": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}[unit]
    assert abs(float(number) * worth - size) <= 0.05 * worth + 1e-6 * size
    assert float(number) < 1024.05 or unit == "TB"


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.ENOSPC, "takes no more"),
        (errno.EIO, "takes no more"),
        (errno.EROFS, "takes no more"),
        (errno.EACCES, "may not be used"),
        (errno.ENOTDIR, "a file lies where a folder should"),
        (errno.ENAMETOOLONG, "too long"),
    ],
)
def test_answers_of_a_disk_are_named(number: int, told: str) -> None:
    error = disk_error(OSError(number, "said"), "out")
    assert error is not None
    assert told in str(error)
    assert str(error).startswith("out: ")
    assert error.cure


def test_the_errors_own_file_wins_and_other_errors_are_none() -> None:
    named = disk_error(OSError(errno.ENOSPC, "full", "weights.bin"), "out")
    assert named is not None
    assert named.file == "weights.bin"
    assert disk_error(OSError(errno.ENOENT, "absent"), "out") is None


def test_free_space_is_that_of_the_folder(tmp_path: Path) -> None:
    assert free_bytes(tmp_path) > 0
    with pytest.raises(FileNotFoundError):
        free_bytes(tmp_path / "absent")
