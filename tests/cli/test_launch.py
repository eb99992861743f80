"""The launcher alone: what it starts, hears and ends, with processes that train nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from simpletuner.cli import launch as launching
from simpletuner.cli.launch import is_needed, launch
from simpletuner.config.sections.machine import MachineConfig

# Stands where the package does: what a process of a run does with its words.
STAND_IN = """
import os, signal, sys, time
from pathlib import Path
rank = os.environ["RANK"]
known = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "CUDA_VISIBLE_DEVICES")
Path(f"rank-{rank}").write_text(" ".join(os.environ.get(name, "-") for name in known))
if f"wait={rank}" in sys.argv or "wait=all" in sys.argv:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    time.sleep(60)
for word in sys.argv[1:]:
    who, _, what = word.partition(":")
    if who == rank:
        os.kill(os.getpid(), 9) if what == "kill" else sys.exit(int(what))
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of the same name before the real one, in the current folder."""
    (tmp_path / "simpletuner").mkdir()
    (tmp_path / "simpletuner" / "__init__.py").touch()
    (tmp_path / "simpletuner" / "__main__.py").write_text(textwrap.dedent(STAND_IN))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def machine(**options: object) -> MachineConfig:
    return MachineConfig.model_validate(options)


def environ() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path.cwd())}


def test_it_is_needed_for_several_and_not_below_another_launcher() -> None:
    assert not is_needed(machine(), {})
    assert is_needed(machine(num_processes=2), {})
    assert is_needed(machine(num_machines=2), {})
    assert not is_needed(machine(num_processes=2), {"LOCAL_RANK": "0"})


def test_each_knows_which_it_is(stand_in: Path) -> None:
    second = machine(num_processes=4, num_machines=2, machine_rank=1, main_process_ip="10.0.0.1")
    assert launch(["train"], second, environ()) == 0
    assert sorted(path.name for path in stand_in.glob("rank-*")) == ["rank-2", "rank-3"]
    assert (stand_in / "rank-3").read_text() == "3 1 4 2 10.0.0.1 -"
    assert launch(["train"], machine(num_processes=2, accelerate_visible_devices="2,3"), environ()) == 0
    assert (stand_in / "rank-0").read_text() == "0 0 2 2 127.0.0.1 2,3"


@pytest.mark.usefixtures("stand_in")
def test_it_ends_with_the_code_of_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    assert launch(["1:3"], machine(num_processes=2), environ()) == 3
    assert launch(["0:143", "1:143"], machine(num_processes=2), environ()) == 143
    assert launch(["0:kill"], machine(num_processes=2), environ()) == 137
    assert "process 0 was ended by SIGKILL" in capsys.readouterr().err


@pytest.mark.usefixtures("stand_in")
def test_those_who_stay_behind_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "_GRACE_SECONDS", {"failed": 0.5, "died": 0.5})
    began = time.monotonic()
    assert launch(["wait=0", "1:kill"], machine(num_processes=2), environ()) == 137
    assert time.monotonic() - began < 30


def test_a_signal_reaches_all_of_them(stand_in: Path) -> None:
    code = (
        "import os; from simpletuner.cli.launch import launch; "
        "from simpletuner.config.sections.machine import MachineConfig; "
        f"environ = {{**os.environ, 'PYTHONPATH': {str(stand_in)!r}}}; "
        "raise SystemExit(launch(['wait=all'], MachineConfig(num_processes=2), environ))"
    )
    path = os.pathsep.join(entry for entry in sys.path if entry)
    # -P: the current folder holds the stand-in, for the processes alone.
    process = subprocess.Popen([sys.executable, "-P", "-c", code], env={**os.environ, "PYTHONPATH": path})
    try:
        end = time.monotonic() + 60
        while len(list(stand_in.glob("rank-*"))) < 2 and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
    finally:
        process.kill()
