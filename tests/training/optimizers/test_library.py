"""What a library says while it is imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

from simpletuner.core.errors import ConfigError
from simpletuner.training.optimizers.library import library


@pytest.mark.parametrize("module", ["bitsandbytes", "torchao.optim"])
def test_it_is_imported_in_silence(module: str) -> None:
    program = f"from simpletuner.training.optimizers.library import library; library({module!r}, 'x')"
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_missing_one_names_the_optimizer() -> None:
    with pytest.raises(ConfigError, match="optimizer bnb-x: the package 'no_such_package' is not installed"):
        library("no_such_package", "bnb-x")
