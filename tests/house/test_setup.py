"""train.sh's set-up where it must refuse or fail; the road that works is walked by every run of ./test.sh."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COREUTILS = ("cat", "cksum", "dirname", "ls", "mkdir", "mv", "rm", "rmdir")
BASH = shutil.which("bash") or "/bin/bash"


def train(folder: Path, path: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Call train.sh from `folder` with nothing of this process's environment but `environment`."""
    variables = {"PATH": path, "HOME": str(folder), **environment}
    return subprocess.run(
        [BASH, ROOT / "train.sh"], cwd=folder, env=variables, capture_output=True, text=True, check=False
    )


@pytest.fixture
def bare_path(tmp_path: Path) -> str:
    """A PATH with the shell's helpers and no Python."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in COREUTILS:
        (programs / name).symlink_to(str(shutil.which(name)))
    return str(programs)


def test_without_a_fitting_python_it_says_so_in_one_line(tmp_path: Path, bare_path: str) -> None:
    old = Path(bare_path) / "python3"
    old.write_text(f'#!{BASH}\n[ "$1" = --version ] && echo Python 3.10.13 && exit 0\nexit 1\n', encoding="utf-8")
    old.chmod(0o755)
    result = train(tmp_path, bare_path, VENV_PATH="venv")
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert "3.11, 3.12 or 3.13" in result.stderr
    assert "Python 3.10.13" in result.stderr
    assert not (tmp_path / "venv").exists()


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    result = train(tmp_path, os.environ["PATH"], VENV_PATH="mine", PYTHON=sys.executable)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_a_failed_installation_leaves_no_stamp(tmp_path: Path) -> None:
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_CONFIG_FILE": os.devnull}
    result = train(tmp_path, os.environ["PATH"], VENV_PATH="venv", PYTHON=sys.executable, **offline)
    assert result.returncode != 0
    assert "torch" in result.stderr
    assert (tmp_path / "venv" / "pyvenv.cfg").is_file()
    assert list((tmp_path / "venv").glob(".simpletuner-installed*")) == []
