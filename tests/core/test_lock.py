"""One run in one output folder, whatever became of the one before."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from simpletuner.core.errors import DataError
from simpletuner.core.lock import LOCK, Owner, _here, _machine, locked, require_ours

HOLD = """
import sys, time
from pathlib import Path
from simpletuner.core.lock import locked
with locked(Path(sys.argv[1]), print):
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def another_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock of ``folder``."""
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    try:
        yield holder
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


def leave(folder: Path, owner: Owner | None, age: float = 0) -> None:
    """A lock as ``owner`` would have left it ``age`` seconds ago."""
    path = folder / LOCK
    path.write_text("" if owner is None else json.dumps(asdict(owner)))
    os.utime(path, (time.time() - age, time.time() - age))


def test_it_is_there_inside_the_block_only(tmp_path: Path) -> None:
    with locked(tmp_path, pytest.fail):
        require_ours(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [LOCK]
    assert list(tmp_path.iterdir()) == []


def test_a_second_run_is_refused_and_told_who_works_there(tmp_path: Path) -> None:
    with another_process(tmp_path) as holder:
        with pytest.raises(DataError, match=f"another run works in this folder: process {holder.pid} on ") as caught:
            locked(tmp_path, pytest.fail).__enter__()
        assert caught.value.exit_code == 3
        assert os.uname().nodename in str(caught.value)
        assert "choose another output_dir" in str(caught.value.cure)
        assert [path.name for path in tmp_path.iterdir()] == [LOCK]


def test_the_lock_of_a_killed_run_is_taken_over_at_once(tmp_path: Path) -> None:
    told: list[str] = []
    with another_process(tmp_path) as holder:
        holder.send_signal(signal.SIGKILL)
        # It is a zombie now: its number is taken, and nobody is there.
        while Path(f"/proc/{holder.pid}/stat").read_text().split()[2] != "Z":
            time.sleep(0.01)
        with locked(tmp_path, told.append):
            require_ours(tmp_path)
    assert len(told) == 1
    assert f"process {holder.pid}" in told[0]
    assert "that process is gone" in told[0]


def test_a_process_that_took_the_number_of_the_dead_one_is_not_mistaken_for_it(tmp_path: Path) -> None:
    leave(tmp_path, replace(_here(), born="1"))
    told: list[str] = []
    with locked(tmp_path, told.append):
        assert "is gone" in told[0]


@pytest.mark.parametrize(("age", "is_free"), [(0, False), (100, False), (200, True)])
def test_a_run_elsewhere_counts_while_it_renews_its_lock(tmp_path: Path, age: float, is_free: bool) -> None:
    leave(tmp_path, Owner(1, "elsewhere", "another machine", "1", "x"), age)
    told: list[str] = []
    if is_free:
        with locked(tmp_path, told.append):
            assert "process 1 on elsewhere (silent for" in told[0]
        return
    with pytest.raises(DataError, match="process 1 on elsewhere") as caught:
        locked(tmp_path, told.append).__enter__()
    assert "wait 3 minutes or delete" in str(caught.value.cure)
    assert (tmp_path / LOCK).is_file()


@pytest.mark.parametrize(("age", "is_free"), [(0, False), (60, True)])
def test_a_lock_without_a_name_was_left_by_a_kill_unless_it_is_new(tmp_path: Path, age: float, is_free: bool) -> None:
    leave(tmp_path, None, age)
    told: list[str] = []
    if is_free:
        with locked(tmp_path, told.append):
            assert "a killed run (it names no owner)" in told[0]
    else:
        with pytest.raises(DataError, match="its owner is not known yet"):
            locked(tmp_path, told.append).__enter__()


def test_a_folder_that_is_gone_or_taken_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    with locked(folder, pytest.fail):
        folder.rename(tmp_path / "renamed")
        with pytest.raises(DataError, match="deleted or renamed during the run"):
            require_ours(folder)
        folder.mkdir()
        leave(folder, Owner(1, "elsewhere", "another machine", "1", "x"))
        with pytest.raises(DataError, match="process 1 on elsewhere took this folder over"):
            require_ours(folder)
    assert (folder / LOCK).is_file(), "another's lock is let alone"


def test_of_many_that_see_a_stale_lock_one_gets_it(tmp_path: Path) -> None:
    leave(tmp_path, replace(_here(), pid=2**22 + 1))
    script = HOLD.replace("time.sleep(60)", "sys.stdin.read()")
    words = [sys.executable, "-c", script, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    racers = [subprocess.Popen(words, text=True, **pipes) for _ in range(6)]
    lost = 0
    deadline = time.monotonic() + 30
    while lost < len(racers) - 1 and time.monotonic() < deadline:
        lost = sum(racer.poll() is not None for racer in racers)
        time.sleep(0.05)
    results = [racer.communicate() for racer in racers]
    assert lost == len(racers) - 1
    assert sum("held" in out for out, _ in results) == 1
    assert sum("another run works" in err for _, err in results) == len(racers) - 1


def test_a_machine_is_known_by_its_start() -> None:
    assert _machine() == _machine() != ""
