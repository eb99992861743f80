"""Other Pythons: what needs no torch runs on 3.12 and 3.13, and 3.10 is refused in one line."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.house.conftest import Installed
from tests.house.test_floors import contracts

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "diffusers", "transformers", "accelerate", "lycoris-lora", "peft")


def interpreter(version: str) -> str:
    """A working Python of ``version``; the test is skipped where there is none."""
    below = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for candidate in (shutil.which(f"python{version}"), *map(str, below)):
        # A pyenv shim may point nowhere.
        if (
            candidate
            and not subprocess.run([candidate, "-c", "import venv"], capture_output=True, check=False).returncode
        ):
            return candidate
    pytest.skip(f"there is no Python {version} here")


def light() -> list[str]:
    """What the torch-free half needs, from the project file."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    return [line for line in listed if not line.startswith(tuple(f"{name}>" for name in HEAVY))]


def test_only_what_is_heavy_is_left_out() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    assert len(light()) == len(listed) - len(HEAVY)


@pytest.mark.long
@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_the_torch_free_half_works_without_torch(installed: Installed, tmp_path: Path, version: str) -> None:
    python = installed(*light(), python=interpreter(version), constraints=ROOT / "constraints.txt")

    def call(*words: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [str(python), "-W", "error", *words]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    modules = contracts()["torch-free"]["source_modules"]
    told = call("-c", f"import importlib, sys; [importlib.import_module(n) for n in {modules!r}]; print(sys.version)")
    assert told.startswith(f"{version}.")
    assert "Train OmniGen adapters" in call("-m", "simpletuner", "--help")
    assert "learning_rate" in call("-m", "simpletuner", "train", "--help")
    assert "emoji-style" in call("-m", "simpletuner", "examples", "list")
    call("-m", "simpletuner", "examples", "copy", "emoji-style", "mine")
    assert "24" in call("-m", "simpletuner", "check", "--config", "mine/config.json")
    answers = ("pictures=mine/images", "model_flavour=tiny")
    call("-m", "simpletuner", "configure", "--yes", *answers)
    assert "24" in call("-m", "simpletuner", "check")


def test_python_3_10_is_refused_in_one_line_by_train_sh(tmp_path: Path) -> None:
    variables = {**os.environ, "PYTHON": interpreter("3.10"), "VENV_PATH": "venv"}
    command = ["bash", str(ROOT / "train.sh")]
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "simpletuner needs Python 3.11, 3.12 or 3.13" in done.stderr
    assert list(tmp_path.iterdir()) == []
