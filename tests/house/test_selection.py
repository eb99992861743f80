"""Which tests run: tests/conftest.py on a small suite of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUITE = """
import pytest

def test_short(): pass

@pytest.mark.long
def test_long(): pass

@pytest.mark.needs("no-such-program")
def test_with_a_tool(): pass

@pytest.mark.weights
def test_with_weights(): pass

def test_that_warns():
    import warnings
    warnings.warn("mind", UserWarning)
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path / "tests")
    (tmp_path / "tests" / "test_suite.py").write_text(SUITE, encoding="utf-8")
    return tmp_path


def outcome(suite: Path, *arguments: str, require_tools: str = "") -> str:
    """What pytest prints."""
    environment = {**os.environ, "REQUIRE_TOOLS": require_tools, "OMNIGEN_WEIGHTS": "/nowhere"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=suite, env=environment, capture_output=True, text=True, check=False).stdout


def test_long_forms_wait_for_all_and_a_warning_fails(suite: Path) -> None:
    assert "1 failed, 1 passed, 2 skipped, 1 deselected" in outcome(suite)
    assert "1 failed, 2 passed, 2 skipped in" in outcome(suite, "--all")


def test_a_missing_program_is_counted_or_required(suite: Path) -> None:
    assert "1 skipped because no-such-program is not installed" in outcome(suite)
    assert "1 failed, 1 passed, 1 skipped, 1 deselected, 1 error" in outcome(suite, require_tools="1")
