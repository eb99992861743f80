"""The most memory that a piece of work has in use, as the device or the system tells it."""

from __future__ import annotations

import platform
import re
import resource
import sys
from contextlib import suppress
from pathlib import Path

import torch

from simpletuner.assemble.planning.figures import Machine, Peak

_STATUS = Path("/proc/self/status")
_FORGET = Path("/proc/self/clear_refs")
_FORGET_PEAK = "5"
_MEMORY = Path("/proc/meminfo")


def reset_peak(device: torch.device) -> None:
    """Begin anew. On a host whose system cannot forget, the peak is that of the process so far."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with suppress(OSError):
        _FORGET.write_text(_FORGET_PEAK)


def read_peak(device: torch.device) -> Peak:
    """The most since :func:`reset_peak`: tensors on a CUDA device, else the resident memory of this process."""
    if device.type == "cuda":
        return Peak(torch.cuda.max_memory_allocated(device), torch.cuda.max_memory_reserved(device))
    told = _kilobytes(_STATUS, "VmHWM")
    if told is not None:
        return Peak(told)
    # Kilobytes everywhere but on a Mac.
    unit = 1 if sys.platform == "darwin" else 1024
    return Peak(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


def settle(device: torch.device) -> None:
    """Wait until the device has done what it was given, so that a clock tells the truth."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def machine_of(device: torch.device, processes: int) -> Machine:
    """What to say of where it was measured."""
    if device.type == "cuda":
        found = torch.cuda.get_device_properties(device)
        return Machine(found.name, "cuda", found.total_memory, processes)
    name = "Apple GPU" if device.type == "mps" else f"CPU, {torch.get_num_threads()} threads"
    return Machine(f"{name} ({platform.machine()})", device.type, _kilobytes(_MEMORY, "MemTotal"), processes)


def _kilobytes(file: Path, name: str) -> int | None:
    """The bytes that a file of Linux's /proc tells under ``name``; None where it does not."""
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB$", file.read_text(encoding="ascii"), re.MULTILINE)
    except (OSError, UnicodeDecodeError):
        return None
    return int(found[1]) * 1024 if found else None
