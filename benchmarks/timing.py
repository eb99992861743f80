"""Medians of repeated work, works compared in alternation, and what the figures were taken on."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
"""The checkout."""

Figures = dict[str, Any]
"""What a measurement gives: numbers by name, ready for JSON."""
Work = Callable[[], object]

_PACKAGES = ("torch", "numpy", "pillow", "safetensors", "diffusers", "lycoris-lora")


@dataclass(frozen=True)
class Times:
    """Seconds of the same work, done several times; ``processor`` are those that its thread was computing."""

    seconds: tuple[float, ...]
    processor: tuple[float, ...] = ()

    @property
    def median(self) -> float:
        """The middle one."""
        return median(self.seconds)

    def figures(self, name: str) -> Figures:
        """The median under ``name``, and the fastest and slowest."""
        return {name: self.median, f"{name}_range": [min(self.seconds), max(self.seconds)]}


def seconds_of(work: Work) -> float:
    """How long ``work`` takes once."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def repeated(work: Work, rounds: int) -> Times:
    """The same work again and again."""
    return Times(tuple(seconds_of(work) for _ in range(rounds)))


def alternated(works: Mapping[str, Work], rounds: int, warm_up: int = 0) -> dict[str, Times]:
    """Works in turn, round after round, so that a busy machine is busy for all of them."""
    for _ in range(warm_up):
        for work in works.values():
            work()
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            computing = time.thread_time()
            seconds = seconds_of(work)
            taken[name].append((seconds, time.thread_time() - computing))
    return {name: Times(*zip(*found, strict=True)) for name, found in taken.items()}


def ratio(above: Times, below: Times) -> float:
    """The median of the ratios of works that :func:`alternated` did one after the other."""
    return median(one / other for one, other in zip(above.seconds, below.seconds, strict=True))


def processor_ratio(above: Times, below: Times) -> float:
    """The same of the processor time of the calling thread: the ratio where every thread has a core to itself."""
    return median(one / other for one, other in zip(above.processor, below.processor, strict=True))


class Crowd:
    """How many cores other programs keep busy, from its making to :meth:`cores`."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._before = _busy_seconds() - _own_seconds()

    def cores(self) -> float:
        """The mean number of them."""
        return (_busy_seconds() - _own_seconds() - self._before) / (time.monotonic() - self._since)


def _busy_seconds() -> float:
    """The processor time that the whole machine has spent."""
    user, nice, system = (int(part) for part in Path("/proc/stat").read_text().split()[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, who))


def resident_megabytes() -> float:
    """The most memory that this process has ever had resident.

    Not that of ``getrusage``, which counts what the parent had when it started this process.
    """
    facts = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(facts["VmHWM"].split()[0]) / 1024


class Opens:
    """Counts the files below a folder that this process opens, by whatever means Python has."""

    def __init__(self, folder: Path) -> None:
        self._below = f"{folder}{os.sep}"
        self._counting = False
        self.count = 0
        # A hook cannot be removed; it is deaf outside of `counting`.
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if self._counting and event == "open" and str(arguments[0]).startswith(self._below):
            self.count += 1

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count inside the block."""
        self._counting = True
        try:
            yield
        finally:
            self._counting = False


def in_threads(work: Callable[[Any], object], items: Sequence[Any], threads: int) -> None:
    """``work`` of every item, in so many threads."""
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, items):
            pass


def surroundings() -> Figures:
    """What the figures depend on and do not say."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        "changed": bool(_git("status", "--porcelain")),
        "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "device": _processor(),
        "cores": os.cpu_count(),
        "load": [round(load, 2) for load in os.getloadavg()],
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        "python": platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
    }


def _git(*words: str) -> str:
    found = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip()


def _processor() -> str:
    named = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return named[0].partition(":")[2].strip() if named else platform.processor()
