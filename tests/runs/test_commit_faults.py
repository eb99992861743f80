"""A save killed, or refused by the disk, at every system call that changes anything on it.

strace does both, and a first traced run says which calls there are: a call more in the code is a case more here.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from simpletuner.core.checkpoints import list_checkpoints, newest_verified, problem_with, sweep
from simpletuner.core.files import sha256
from tests.runs.saving import LAID_OUT

SCRIPT = Path(__file__).with_name("saving.py")
CHANGING = (
    *("write", "writev", "pwrite64", "pwritev", "sendfile", "copy_file_range", "ftruncate", "fallocate"),
    *("fsync", "fdatasync", "sync_file_range", "rename", "renameat", "renameat2", "link", "linkat", "symlinkat"),
    *("unlink", "unlinkat", "rmdir", "mkdir", "mkdirat", "openat"),
)
CALL = re.compile(r"\d+ +(\w+)\((.*)")
KILL = "signal=KILL"
FULL = "error=ENOSPC"
BROKEN = "error=EIO"
SAVES = ("first", "save", "again", "again-alone", "save-and-prune", "rolling")


@dataclass(frozen=True)
class Call:
    """One system call of the script: the ``number``-th of its ``name``."""

    name: str
    number: int
    line: str


@dataclass(frozen=True)
class Ended:
    """How the script ended; -9 is killed."""

    code: int
    out: str
    err: str


def injected(scenario: str, call: Call, fault: str, folder: Path, *, stays: bool = False) -> Ended:
    """Play ``scenario`` with ``fault`` at ``call``, and, where it ``stays``, at every later call of its name."""
    words = ("-e", f"trace={call.name}", "-e", f"inject={call.name}:{fault}:when={call.number}{'+' if stays else ''}")
    return run_script(scenario, folder, folder.parent / "caches", "-o", str(folder.parent / "trace"), *words)


def run_script(scenario: str, folder: Path, caches: Path, *strace: str) -> Ended:
    """Play ``scenario`` under strace, in a folder freshly laid out."""
    folder.mkdir()
    LAID_OUT[scenario](folder)
    environment = {"PATH": os.environ["PATH"], "PYTHONPYCACHEPREFIX": str(caches), "LC_ALL": "C.UTF-8"}
    words = ["strace", "-f", "-qq", *strace, sys.executable, str(SCRIPT), scenario, str(folder)]
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=60, env=environment, cwd=caches.parent
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def calls(scenario: str, tmp_path: Path) -> Iterator[Call]:
    """Every call of the scenario that changes something in its folder, from a traced run with warm caches."""
    folder, trace = tmp_path / "traced", tmp_path / "trace"
    caches = tmp_path / "caches"
    run_script(scenario, tmp_path / "warm", caches, "-o", os.devnull, "-e", "trace=mkdir")
    ended = run_script(scenario, folder, caches, "-y", "-o", str(trace), "-e", f"trace={','.join(CHANGING)}")
    assert ended.code == 0, ended.err
    counted: Counter[str] = Counter()
    for line in trace.read_text().splitlines():
        match = CALL.match(line)
        if match is None:
            continue
        name, rest = match.groups()
        counted[name] += 1
        if str(folder) in rest and (name != "openat" or re.search(r"O_(WR|RDWR|CREAT)", rest)):
            yield Call(name, counted[name], line)


def contents(path: Path) -> dict[str, str]:
    return {file.relative_to(path).as_posix(): sha256(file) for file in sorted(path.rglob("*")) if file.is_file()}


def marks(folder: Path) -> dict[str, str]:
    """The mark of the weights of each visible checkpoint."""
    return {item.path.name: (item.path / "weights.bin").read_text()[0] for item in list_checkpoints(folder)}


def newest(folder: Path) -> str | None:
    """The next start: what a killed run left is swept, and the newest whole checkpoint is chosen, skipping none."""
    skipped: list[str] = []
    sweep(folder)
    chosen = newest_verified(folder, lambda checkpoint, problem: skipped.append(f"{checkpoint.path.name}: {problem}"))
    assert skipped == [], "half-written ones are never visible"
    assert not [path for path in folder.iterdir() if path.name.startswith(".")], "nothing is left over"
    return chosen.path.name if chosen else None


def require_whole(folder: Path) -> None:
    for checkpoint in list_checkpoints(folder):
        assert problem_with(checkpoint.path) is None, checkpoint.path.name


def require_named(ended: Ended, folder: Path) -> None:
    """A disk that refuses ends a save with a DataError, or, where nothing is lost, lets it go on."""
    assert ended.code in (0, 3), ended.err
    assert "Traceback" not in ended.err
    if ended.code == 3:
        assert f"DataError: {folder}" in ended.err
        assert "the disk takes no more" in ended.err
        assert "cure: make room" in ended.err


def require_right_choice(scenario: str, ended: Ended, folder: Path) -> None:
    before = Path(f"{folder}-before")
    before.mkdir()
    LAID_OUT[scenario](before)
    require_whole(folder)
    former = newest(before)
    chosen = newest(folder)
    require_whole(folder)
    saved = marks(folder).get("checkpoint-5") == "b"
    if ended.code == 0:
        assert saved
    assert chosen == ("checkpoint-5" if saved else former)
    if chosen is not None:
        assert contents(folder / chosen) == contents(before / chosen) or saved
    lost = marks(before).keys() - marks(folder).keys()
    assert not lost or saved, f"{lost} went before checkpoint-5 was whole"
    assert former is None or len(marks(folder)) >= min(2, len(marks(before)))


def play(scenario: str, fault: str, tmp_path: Path) -> int:
    """Inject ``fault`` at every call of a save in turn; how many there were."""
    found = list(calls(scenario, tmp_path))
    for index, call in enumerate(found):
        folder = tmp_path / f"{index}"
        ended = injected(scenario, call, fault, folder)
        try:
            if fault == KILL:
                assert ended.code in (-9, 137)
            else:
                assert "INJECTED" in (tmp_path / "trace").read_text()
                require_named(ended, folder)
                assert ended.code == 0 or not list(folder.glob(".*.partial"))
            require_right_choice(scenario, ended, folder)
        except AssertionError as error:
            raise AssertionError(f"{fault} at {call.line}: {error}") from error
    return len(found)


@pytest.mark.needs("strace")
@pytest.mark.parametrize("fault", [KILL, FULL])
def test_a_save_that_prunes_survives_every_fault(tmp_path: Path, fault: str) -> None:
    assert play("save-and-prune", fault, tmp_path) > 30


@pytest.mark.long
@pytest.mark.needs("strace")
@pytest.mark.parametrize("scenario", SAVES)
@pytest.mark.parametrize("fault", [KILL, FULL, BROKEN])
def test_every_save_survives_every_fault(tmp_path: Path, scenario: str, fault: str) -> None:
    assert play(scenario, fault, tmp_path) > 15


@pytest.mark.long
@pytest.mark.needs("strace")
@pytest.mark.parametrize("fault", [FULL, BROKEN])
def test_a_disk_that_stays_full_or_broken_takes_nothing_away(tmp_path: Path, fault: str) -> None:
    """From one call on, every call of its name fails: also those that would clean up."""
    for index, call in enumerate(calls("again", tmp_path)):
        folder = tmp_path / f"{index}"
        ended = injected("again", call, fault, folder, stays=True)
        if call.name == "write":
            # Nothing can be said either, then.
            assert ended.code in (3, 120)
        else:
            require_named(ended, folder)
        require_right_choice("again", ended, folder)


@pytest.mark.long
@pytest.mark.needs("strace")
@pytest.mark.parametrize("scenario", ["finish", "promote", "sweep"])
@pytest.mark.parametrize("fault", [KILL, FULL, BROKEN])
def test_what_is_no_save_survives_every_fault_too(tmp_path: Path, scenario: str, fault: str) -> None:
    expected = {
        "finish": ("checkpoint-5",),
        "sweep": ("checkpoint-2",),
        "promote": ("checkpoint-4", "checkpoint-4-rolling"),
    }
    found = list(calls(scenario, tmp_path))
    assert found
    for index, call in enumerate(found):
        folder = tmp_path / f"{index}"
        ended = injected(scenario, call, fault, folder)
        require_whole(folder)
        assert newest(folder) in expected[scenario]
        require_whole(folder)
        if scenario == "finish":
            require_whole_results(folder)
            if fault != KILL:
                require_named(ended, folder)


def require_whole_results(folder: Path) -> None:
    """Each final file is the former one or the new one, never a part of it."""
    for name in ("adapter.bin", "ema/average.bin"):
        content = (folder / name).read_text()
        assert len(content) == 20_000
        assert len(set(content)) == 1
