"""A machine without memory: its own exit code, what would help, and caches that are whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simpletuner.data.cache.store import TensorStore
from tests.runs.conftest import Train
from tests.runs.data_words import entries

# Everything is imported; then a copy of the process may grow by a little more each time, until it is enough: a
# kernel's library that was refused memory once may go on refusing.
_LIMITED = """
import os, re, resource
from pathlib import Path
from simpletuner.cli.main import run
import simpletuner.cli.cache
used = int(re.search(r"VmSize:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
hard = resource.getrlimit(resource.RLIMIT_AS)[1]
codes = []
for more in (1, 4, 16, 32, 64, 128, 256, 512, 1024, 2048):
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_AS, (used + more * 1_000_000, hard))
        os._exit(int(run(["cache"])))
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    if codes[-1] == 0:
        break
Path("codes").write_text(repr(codes))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
def test_memory_that_runs_out_while_latents_are_cached_has_its_own_code(train: Train) -> None:
    del train
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "MALLOC_ARENA_MAX": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", _LIMITED], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    codes = [int(code) for code in Path("codes").read_text().strip("[]").split(",")]
    assert set(codes) == {0, 4}, ran.stdout + ran.stderr
    assert codes[-1] == 0
    assert "Traceback" not in ran.stderr
    assert ran.stderr.count("a smaller resolution") == codes.count(4)
    store = TensorStore(Path("cache/vae"))
    assert len(entries()) == 5
    assert None not in [store.read(key) for key in sorted(store.keys())]
    assert list(store.partials()) == []
