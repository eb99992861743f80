"""Files that other programs read with safetensors, and whose bytes follow from their content alone."""

from __future__ import annotations

import errno
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from simpletuner.training.tensor_file import _NAMES, write_tensors

METADATA = {"zeta": "1", "alpha": "two", "modelspec.title": 'said "so" \\ \u00e9\u4e2d', "empty": ""}


def tensors() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    values = {str(dtype): torch.randint(0, 2, (3, 5), generator=generator).to(dtype) for dtype in _NAMES}
    return {
        **values,
        "complex": torch.complex(torch.ones(2), torch.zeros(2)),
        "scalar": torch.tensor(7.5),
        "nothing": torch.zeros(0, 4),
        "turned": torch.arange(12.0).reshape(3, 4).T,
        "part": torch.arange(12, dtype=torch.bfloat16)[::2],
        "needs a gradient": torch.nn.Parameter(torch.ones(2, 2)),
    }


def test_the_library_reads_back_what_was_written(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    write_tensors(file, tensors(), METADATA)
    read = load_file(file)
    assert read.keys() == tensors().keys()
    for name, tensor in tensors().items():
        assert read[name].dtype == tensor.dtype, name
        assert read[name].shape == tensor.shape, name
        assert torch.equal(read[name].view(-1).view(torch.uint8), tensor.contiguous().view(-1).view(torch.uint8)), name
    with safe_open(file, "pt") as opened:
        assert opened.metadata() == METADATA


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_the_bytes_are_the_librarys_where_those_are_always_the_same(tmp_path: Path, metadata: object) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    plain = {name: tensor.detach().contiguous() for name, tensor in tensors().items()}
    write_tensors(ours, plain, metadata)
    save_file(plain, theirs, metadata)
    assert ours.read_bytes() == theirs.read_bytes()


@given(st.dictionaries(st.text(min_size=1, max_size=8).filter("__metadata__".__ne__), st.integers(0, 9), max_size=5))
def test_any_names_and_sizes(sizes: dict[str, int]) -> None:
    made = {name: torch.full((size,), float(size)) for name, size in sizes.items()}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "a.safetensors"
        write_tensors(file, made, {"n": "1"})
        read = load_file(file)
    values = {name: tensor.tolist() for name, tensor in read.items()}
    assert values == {name: [float(size)] * size for name, size in sizes.items()}


def test_order_of_writing_is_no_part_of_the_content(tmp_path: Path) -> None:
    made = tensors()
    turned = dict(reversed(made.items()))
    write_tensors(tmp_path / "one", made, METADATA)
    write_tensors(tmp_path / "two", turned, dict(reversed(METADATA.items())))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_format_that_the_file_cannot_hold_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no format for z, which is torch\.complex128"):
        write_tensors(tmp_path / "z", {"z": torch.zeros(2, dtype=torch.complex128)})


LIMITED = """
import resource, signal, sys, torch
from pathlib import Path
from simpletuner.training.tensor_file import write_tensors
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_tensors(Path(sys.argv[1]), {"x": torch.zeros(100_000)})
except OSError as error:
    print(error.errno, error.filename)
"""


def test_a_file_that_does_not_fit_is_named(tmp_path: Path) -> None:
    file = tmp_path / "large.safetensors"
    done = subprocess.run([sys.executable, "-c", LIMITED, str(file)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(errno.EFBIG), str(file)]
