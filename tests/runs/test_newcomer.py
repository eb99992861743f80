"""The path of somebody new, as real processes in an empty home: from pictures to an adapter and what it draws."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

from simpletuner.config.reading.find import example_folder

ADAPTER = "output/drawings/pytorch_lora_weights.safetensors"
PATIENCE = 300


class Newcomer:
    """A home with 12 captioned pictures and one broken file, no settings, and no hub within reach."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._pictures = home / "drawings"
        self._pictures.mkdir()
        for picture in sorted((example_folder("emoji-style") / "images").glob("*.png"))[:12]:
            shutil.copy(picture, self._pictures)
        (self._pictures / "broken_one.png").write_bytes(b"no picture")
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "OMP_NUM_THREADS") if name in os.environ}
        self._variables = {**kept, "HOME": str(home), "HF_ENDPOINT": "http://127.0.0.1:9", "COLUMNS": "120"}

    def types(self, *words: str, wanted: int = 0) -> str:
        """`simpletuner WORDS` ends with the exit code ``wanted``; all that it said."""
        command = [sys.executable, "-m", "simpletuner", *words]
        done = subprocess.run(
            command, cwd=self.home, env=self._variables, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert done.returncode == wanted, done.stdout + done.stderr
        return done.stdout + done.stderr

    def file(self, name: str) -> Path:
        """A file of the home, which must be there."""
        path = self.home / name
        assert path.is_file(), sorted(str(each.relative_to(self.home)) for each in self.home.rglob("*"))
        return path


@pytest.fixture
def newcomer(tmp_path: Path) -> Newcomer:
    """Somebody who has just installed the program."""
    return Newcomer(tmp_path)


@pytest.mark.long
def test_from_pictures_to_an_adapter_and_back_to_pictures(newcomer: Newcomer) -> None:
    _configures(newcomer)
    _looks_before(newcomer)
    _trains(newcomer)
    _takes_it_elsewhere(newcomer)
    _draws(newcomer)
    # Nothing was fetched, and nothing was left outside the folders that were named.
    found = {path.name for path in newcomer.home.iterdir()} - {".cache", ".config"}
    assert found == {"drawings", "config", "cache", "output", "flat.safetensors", "drawn", "again"}
    assert not list(newcomer.home.glob(".cache/huggingface/hub/models--*"))


def _configures(newcomer: Newcomer) -> None:
    answers = "pictures=drawings card=cpu teach=style steps=2 previews=1 validation_num_inference_steps=2".split()
    told = newcomer.types("configure", "--yes", *answers)
    assert "12 of 13 are used" in told
    assert "broken_one.png: not a readable picture" in told
    assert "then:  simpletuner train" in told
    options = json.loads(newcomer.file("config/config.json").read_text())
    assert (options["model_flavour"], options["validation_resolution"]) == ("tiny", "64x64")
    assert "minutes on a CPU" not in told


def _looks_before(newcomer: Newcomer) -> None:
    assert "this run can train" in newcomer.types("check")
    assert newcomer.types("check", "learning_rat=1", wanted=2).count("did you mean 'learning_rate'?") == 1
    plan = newcomer.types("plan")
    assert "measured on CPU" in plan
    assert "64x64" in plan
    assert not (newcomer.home / ADAPTER).exists()


def _trains(newcomer: Newcomer) -> None:
    told = newcomer.types("train")
    assert "left out broken_one.png" in told
    assert "completed: 2 steps" in told
    with safe_open(newcomer.file(ADAPTER), framework="np") as adapter:
        values = [adapter.get_tensor(name) for name in list(adapter.keys())]
    assert all(np.isfinite(value).all() for value in values)
    assert all(value.any() for value in values), "two updates reach every tensor"
    for name in ("lycoris_config.json", "report.json", "metrics.jsonl", "checkpoint-2/manifest.json"):
        newcomer.file(f"output/drawings/{name}")
    drawn = sorted((newcomer.home / "output/drawings/validation_images").glob("step_2_*.png"))
    assert drawn
    for picture in drawn:
        with Image.open(picture) as image:
            image.verify()


def _takes_it_elsewhere(newcomer: Newcomer) -> None:
    told = newcomer.types("export", "--adapter", ADAPTER, "--format", "comfyui", "--output", "flat.safetensors")
    assert "equals the adapter" in told
    with safe_open(newcomer.file("flat.safetensors"), framework="np") as adapter:
        assert {name.split(".")[0] for name in list(adapter.keys())} == {"diffusion_model"}


def _draws(newcomer: Newcomer) -> None:
    words = "--prompt frog --resolution 64x64 --steps 2 --output drawn".split()
    assert "wrote drawn/frog_0_64x64.png" in newcomer.types("generate", "--adapter", ADAPTER, *words)
    newcomer.types("generate", "--like", "drawn/frog_0_64x64.png", "--adapter", ADAPTER, "--output", "again")
    once, again = (newcomer.file(f"{folder}/frog_0_64x64.png") for folder in ("drawn", "again"))
    with Image.open(once) as first, Image.open(again) as second:
        assert first.tobytes() == second.tobytes()
