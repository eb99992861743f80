"""Who may import whom: the contracts of pyproject.toml, and what really is loaded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYPROJECT = ROOT / "pyproject.toml"
HEAVY = ("torch", "diffusers", "transformers", "accelerate", "lycoris", "peft")


def contracts() -> dict[str, dict[str, list[str]]]:
    """The import-linter contracts by id."""
    listed = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    return {contract["id"]: contract for contract in listed}


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the source tree below `root`, with the contracts of the pyproject.toml there."""
    # The path first: the copy below `root` is what gets read, not the installed package.
    program = (
        "import sys; sys.path.insert(0, 'src'); from importlinter.cli import lint_imports; "
        "sys.exit(lint_imports(no_cache=True))"
    )
    # Wide enough that a contract's name and its verdict share a line.
    wide = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-c", program], cwd=root, env=wide, capture_output=True, text=True, check=False
    )


def test_the_contracts_are_kept() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("diffusion/flow.py", "import simpletuner.models.facts", "A floor imports only floors below it"),
        ("core/errors.py", "import simpletuner.config", "A floor imports only floors below it"),
        ("core/files.py", "import torch", "never reaches torch"),
        ("core/files.py", "import simpletuner.core.seeds", "never reaches torch"),
        ("data/__init__.py", "import lycoris", "lycoris has one door"),
    ],
)
def test_a_breach_is_seen(tmp_path: Path, module: str, line: str, contract: str) -> None:
    shutil.copy(PYPROJECT, tmp_path)
    shutil.copytree(
        ROOT / "src", tmp_path / "src", ignore=lambda _, names: [n for n in names if n in {"tiny", "examples"}]
    )
    broken = tmp_path / "src" / "simpletuner" / module
    broken.write_text(f"{broken.read_text(encoding='utf-8')}\n{line}\n", encoding="utf-8")
    result = lint_imports(tmp_path)
    assert result.returncode != 0
    assert [line for line in result.stdout.splitlines() if contract in line and "BROKEN" in line], result.stdout


def test_the_torch_free_half_loads_no_torch() -> None:
    # The static contract does not see what a package's __init__ loads on the way to a module.
    modules = contracts()["torch-free"]["source_modules"]
    program = (
        f"import importlib, sys; [importlib.import_module(name) for name in {modules!r}]; "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_heavy_libraries_are_all_forbidden() -> None:
    assert set(contracts()["torch-free"]["forbidden_modules"]) == set(HEAVY)
