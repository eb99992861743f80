"""Whole runs: a folder as a user would lay it out, and the command as a user would type it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from simpletuner.cli.main import run
from simpletuner.config.reading.find import example_folder

EXAMPLE = example_folder("emoji-style")
DOCUMENT = Path(__file__).parents[1] / "fixtures" / "document"

SMALL = {
    "model_type": "lora",
    "lora_type": "lycoris",
    "model_family": "omnigen",
    "model_flavour": "tiny",
    "lycoris_config": "lycoris_config.json",
    "output_dir": "output",
    "train_batch_size": 2,
    "max_train_steps": 4,
    "optimizer": "adamw_bf16",
    "mixed_precision": "no",
    "learning_rate": 1e-3,
    "lr_scheduler": "constant",
    "lr_warmup_steps": 2,
    "max_grad_norm": 0.01,
    "grad_clip_method": "value",
    "use_ema": True,
    "ema_validation": "none",
    "caption_dropout_probability": 0.2,
    "seed": 42,
    "validation_disable": True,
    "checkpoint_step_interval": 2,
    "report_to": "none",
}
DATASETS = [
    {
        "id": "flat",
        "type": "local",
        "instance_data_dir": "pictures",
        "cache_dir_vae": "cache/vae",
        "resolution": 64,
        "resolution_type": "pixel",
        "crop": True,
        "crop_style": "center",
    }
]

Train = Callable[..., int]


def lay_out(folder: Path) -> Path:
    """``folder``, with 5 pictures and a small configuration in it."""
    (folder / "config").mkdir()
    (folder / "pictures").mkdir()
    for name in ("red_apple", "rocket", "pizza", "cactus", "frog"):
        shutil.copy(EXAMPLE / "images" / f"{name}.png", folder / "pictures")
    shutil.copy(DOCUMENT / "lycoris_config.json", folder / "config")
    (folder / "config" / "config.json").write_text(json.dumps(SMALL))
    (folder / "config" / "multidatabackend.json").write_text(json.dumps(DATASETS))
    return folder


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """`simpletuner train key=value...` in a folder with 5 pictures and a small configuration; its exit code."""
    monkeypatch.chdir(lay_out(tmp_path))

    def start(*words: str, **overrides: object) -> int:
        return run(["train", *words, *(f"{key}={value}" for key, value in overrides.items())])

    return start


def metrics(output: Path) -> list[dict[str, object]]:
    """The records of metrics.jsonl."""
    return [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
