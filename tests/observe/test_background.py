"""Processes beside a training take what time it leaves, and so does what they start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from simpletuner.observe.background import LATER, come_forward, give_way

# Tells its own priority and group, and those of a process that it starts, once it is told to go on.
_TELLS = """
import os, subprocess, sys
from pathlib import Path
group = Path("/proc/self/autogroup")
sys.stdin.readline()
print(os.getpriority(os.PRIO_PROCESS, 0), group.read_text().split()[-1] if group.exists() else "none", flush=True)
if len(sys.argv) > 1:
    subprocess.run([sys.executable, "-c", sys.argv[1]], stdin=subprocess.DEVNULL)
"""


def told_of(process: int) -> tuple[int, str]:
    """Its own niceness, and that of its group: nothing for a process that is of no session's group."""
    group = Path(f"/proc/{process}/autogroup")
    told = group.read_text().split() if group.exists() else []
    return os.getpriority(os.PRIO_PROCESS, process), told[-1] if told else "0"


def test_a_process_and_what_it_starts_give_way() -> None:
    command = [sys.executable, "-c", _TELLS, _TELLS]
    before = told_of(os.getpid())
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        give_way(process.pid)
        told, _ = process.communicate("\n")
    group = str(LATER) if Path("/proc/self/autogroup").exists() else "none"
    assert told.splitlines() == [f"{LATER} {group}"] * 2
    assert told_of(os.getpid()) == before


def test_it_comes_forward_at_the_end_as_far_as_it_may() -> None:
    with subprocess.Popen([sys.executable, "-c", _TELLS], stdin=subprocess.PIPE, start_new_session=True) as process:
        give_way(process.pid)
        come_forward(process.pid)
        niceness, group = told_of(process.pid)
        process.communicate(b"")
    assert group == "0"
    assert niceness == 0 if os.geteuid() == 0 else niceness in (0, LATER)


def test_a_process_that_is_gone_is_no_trouble() -> None:
    with subprocess.Popen([sys.executable, "-c", ""], start_new_session=True) as process:
        process.wait()
        give_way(process.pid)
        come_forward(process.pid)
