from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import PIL

import simpletuner
from simpletuner.data.files.room import MEMORY
from simpletuner.data.files.rules import refusal_rules

PRINT = "from simpletuner.data.files.rules import refusal_rules; print(refusal_rules())"


def test_rules_name_pillow_and_the_memory() -> None:
    assert refusal_rules().endswith(f", Pillow {PIL.__version__}, {MEMORY} bytes")
    assert refusal_rules() == refusal_rules()


def test_rules_change_with_the_code_that_reads_pictures(tmp_path: Path) -> None:
    shutil.copytree(Path(simpletuner.__file__).parent, tmp_path / "simpletuner", ignore=shutil.ignore_patterns("*.pyc"))

    def elsewhere() -> str:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-c", PRINT]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()

    assert elsewhere() == refusal_rules()
    for changed in ("files/endings.py", "sources/hub.py"):
        before = elsewhere()
        with (tmp_path / "simpletuner/data" / changed).open("a") as code:
            code.write("# mended\n")
        assert elsewhere() != before
