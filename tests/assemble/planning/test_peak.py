from __future__ import annotations

import gc
import mmap
import sys

import pytest
import torch

from simpletuner.assemble.planning.peak import _kilobytes, machine_of, read_peak, reset_peak, settle

CPU = torch.device("cpu")
_SIZE = 200_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak is that of the process so far")
def test_memory_that_was_given_back_is_in_the_peak_until_it_is_forgotten() -> None:
    # A model that an earlier test has left in a circle would be given back in the middle, and hide what is taken here.
    gc.collect()
    reset_peak(CPU)
    before = read_peak(CPU).used
    # Asked of the system: an allocator may have as much left over from what earlier tests gave back.
    with mmap.mmap(-1, _SIZE) as taken:
        for page in range(0, _SIZE, mmap.PAGESIZE):
            taken[page] = 1
    assert read_peak(CPU).used > before + 0.9 * _SIZE
    reset_peak(CPU)
    assert read_peak(CPU).used < before + 0.5 * _SIZE
    assert read_peak(CPU).reserved is None


def test_a_host_is_told_with_its_memory() -> None:
    settle(CPU)
    machine = machine_of(CPU, 3)
    assert (machine.kind, machine.processes) == ("cpu", 3)
    assert "CPU" in machine.device
    if sys.platform == "linux":
        assert machine.memory is not None
        assert machine.memory > 100_000_000


def test_a_system_without_proc_tells_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("proc") / "status"
    assert _kilobytes(file, "VmHWM") is None
    file.write_text("VmPeak:\t  10 kB\nVmHWM:\t   3 kB\n")
    assert _kilobytes(file, "VmHWM") == 3072
    assert _kilobytes(file, "VmRSS") is None


@pytest.mark.gpu
def test_a_cards_peak_is_what_torch_had_in_use() -> None:
    device = torch.device("cuda")
    reset_peak(device)
    before = read_peak(device).used
    taken = torch.ones(_SIZE, dtype=torch.uint8, device=device)
    settle(device)
    del taken
    peak = read_peak(device)
    assert peak.used >= before + _SIZE
    assert peak.reserved is not None
    assert peak.reserved >= peak.used
