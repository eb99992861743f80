"""The gates of the tiny world: `python -m scripts.tiny.report` writes docs/tiny-world.json and its contact sheet.

The parts `models` and `pictures` need the pictures of `scripts.tiny.emoji`; `examples` trains both bundled examples
and needs nothing. Exit code 1 when a gate is missed.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import torch
from safetensors import safe_open

from .files import BUILD, ROOT, TINY_MODEL, start_logging, write_json
from .gates import Figures, TrainedOn, failures
from .measure_examples import example_figures
from .measure_models import model_figures
from .measure_pictures import picture_figures

TARGET = ROOT / "docs" / "tiny-world.json"
SHEET = ROOT / "docs" / "images" / "tiny-world.png"
PARTS: Mapping[str, Callable[[], Figures]] = MappingProxyType(
    {
        "models": model_figures,
        "pictures": lambda: picture_figures(SHEET),
        "examples": lambda: example_figures(BUILD / "report"),
    }
)


def trained_on() -> TrainedOn:
    """Where the transformer's weights come from, as their file says."""
    with safe_open(TINY_MODEL / "transformer" / "diffusion_pytorch_model.safetensors", framework="pt") as stored:
        return "cuda" if stored.metadata()["trained_on"] == "cuda" else "cpu"


def commit() -> str:
    """The commit that is measured, with a mark when files that count differ from it."""
    revision = _git("rev-parse", "HEAD")
    return f"{revision}-modified" if _git("status", "--porcelain", "src", "scripts") else revision


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def device() -> str:
    """The processor that measured."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    name = models[0].split(":")[1].strip() if models else platform.processor()
    return f"{name}, {torch.get_num_threads()} threads"


def origin() -> dict[str, object]:
    """What was measured, on what, with what."""
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    return {"commit": commit(), "device": device(), "trained_on": trained_on(), **versions}


def main() -> int:
    """Measure the parts asked for, write the figures, and name the gates that are missed."""
    start_logging()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=tuple(PARTS), help="measure one part and print it, without writing the file")
    only = parser.parse_args().only
    about = origin()
    figures = {name: round(value, 4) for part in ([only] if only else PARTS) for name, value in PARTS[part]().items()}
    sys.stdout.write(json.dumps({**about, **figures}, indent=2) + "\n")
    if not only:
        write_json(TARGET, {**about, **figures})
    missed = failures(figures, trained_on())
    sys.stdout.writelines(f"missed: {line}\n" for line in missed)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
