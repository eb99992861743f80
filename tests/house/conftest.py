"""Environments of their own, for the tests that need other programs or another Python."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Installed = Callable[..., Path]

_UNREACHABLE = re.compile(r"(connection|network|timed out|temporary failure|no matching distribution).*", re.IGNORECASE)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """`installed(*requirements, python=...)`: the Python of a new environment that holds them, pinned.

    Only where ALLOW_INSTALLS=1, as in .ci/run: a test must not download on somebody's machine unasked. An index that
    cannot be reached, or lacks a package, skips the test and says so; whatever else goes wrong fails it.
    """

    def make(*requirements: str, python: str = sys.executable, constraints: Path | None = None) -> Path:
        if os.environ.get("ALLOW_INSTALLS") != "1":
            pytest.skip("installs packages: ALLOW_INSTALLS=1 allows it, as .ci/run does")
        folder = tmp_path_factory.mktemp("environment")
        subprocess.run([python, "-m", "venv", str(folder)], check=True, capture_output=True, timeout=120)
        made = folder / "bin" / "python"
        pinned = ["-c", str(constraints)] if constraints else []
        command = [str(made), "-m", "pip", "install", "--quiet", "--only-binary", ":all:", *pinned, *requirements]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode and (reason := _UNREACHABLE.search(done.stderr)):
            pytest.skip(f"nothing can be installed here: {reason[0]}")
        assert done.returncode == 0, done.stderr
        return made

    return make
