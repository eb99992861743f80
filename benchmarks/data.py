"""How fast the data road is, from 1,000 to 1,000,000 pictures: ``python -m benchmarks.data --help``.

``python benchmarks/data.py`` does the same: this file is only the door, :mod:`benchmarks.command` does the work.
"""

from __future__ import annotations

import sys
from pathlib import Path
from runpy import run_module

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    run_module("benchmarks.command", run_name="__main__")
