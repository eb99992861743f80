"""The picture of docs/why-is-the-loss-high.md, from a real run on the tiny model.

``python -m scripts.loss_picture [RUN]``; without a folder, the run is made in ``build/tiny/loss``: sixteen drawings of
the emoji-style example are trained on, eight are held out. Needs ``pip install '.[docs]'`` for the chart.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scripts.tiny.files import BUILD, ROOT
from simpletuner.config.reading.find import example_folder

TARGET = ROOT / "docs" / "images" / "loss.png"
HELD_OUT = ("butterfly", "dog_face", "guitar", "house", "penguin", "rocket", "strawberry", "umbrella")
PICTURES: dict[str, Any] = {
    "type": "local",
    "caption_strategy": "filename",
    "resolution": 64,
    "resolution_type": "pixel",
    "crop": True,
    "crop_aspect": "square",
    "crop_style": "center",
}
DATASETS = [
    PICTURES | {"id": "drawings", "instance_data_dir": "train", "cache_dir_vae": "cache/train", "repeats": 9},
    PICTURES | {"id": "held-out", "dataset_type": "eval", "instance_data_dir": "held", "cache_dir_vae": "cache/held"},
]
CONFIG = {
    "model_type": "lora",
    "lora_type": "lycoris",
    "lycoris_config": "lycoris_config.json",
    "model_family": "omnigen",
    "model_flavour": "tiny",
    "output_dir": "output",
    "resume_from_checkpoint": "latest",
    "seed": 42,
    "train_batch_size": 8,
    "max_train_steps": 120,
    "optimizer": "adamw_bf16",
    "mixed_precision": "no",
    "learning_rate": 1e-3,
    "lr_scheduler": "constant",
    "lr_warmup_steps": 5,
    "grad_clip_method": "value",
    "max_grad_norm": 0.01,
    "caption_dropout_probability": 0.0,
    "checkpoint_step_interval": 60,
    "validation_disable": True,
    "report_to": "none",
    "eval_steps_interval": 10,
}
_INK, _FAINT, _BLUE, _RED, _GREEN = "#22262b", "#9a9a94", "#2f6db5", "#c0392b", "#3b8f5a"
_log = logging.getLogger("loss")


def lay_out(folder: Path) -> None:
    """The example's drawings, shared out, and a configuration."""
    example = example_folder("emoji-style")
    for name in ("config", "train", "held"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for path in sorted((example / "images").glob("*.png")):
        shutil.copy(path, folder / ("held" if path.stem in HELD_OUT else "train"))
    shutil.copy(example / "lycoris_config.json", folder / "config")
    (folder / "config" / "config.json").write_text(json.dumps(CONFIG, indent=2))
    (folder / "config" / "multidatabackend.json").write_text(json.dumps(DATASETS, indent=2))


def curve(record: dict[str, Any], name: str) -> tuple[list[float], list[float]]:
    """The points of a curve that an evaluation told: sigmas and losses."""
    key = f"chart/loss/val/{name}/"
    found = sorted((float(word[len(key) :]), value) for word, value in record.items() if _is_point(word, key))
    return [sigma for sigma, _ in found], [value for _, value in found]


def _is_point(word: str, key: str) -> bool:
    return word.startswith(key) and "/" not in word[len(key) :]


def over_steps(axes: Axes, records: Sequence[dict[str, Any]], references: dict[str, Any]) -> None:
    """The training loss as it jumps, and what stays when noise and pictures are fixed."""
    steps = [record for record in records if "train_loss" in record]
    axes.plot([r["step"] for r in steps], [r["train_loss"] for r in steps], color=_FAINT, lw=0.8, label="training loss")
    known = [record for record in records if "loss/seen" in record]
    held, seen = "loss/val/held-out", "loss/seen"
    base = known[0][f"{held}/base"]
    axes.plot([0, *(r["step"] for r in known)], [base, *(r[held] for r in known)], color=_RED, lw=2, label="held out")
    axes.plot([r["step"] for r in known], [r[seen] for r in known], color=_BLUE, lw=2, label="trained on, same noise")
    low, high = ([r[held] + errors * r[f"{held}/gain/se"] for r in known] for errors in (-2, 2))
    axes.fill_between([r["step"] for r in known], low, high, color=_RED, alpha=0.15, lw=0)
    best = min(known, key=lambda record: float(record[held]))
    axes.plot(best["step"], best[held], "o", color=_RED, label=f"checkpoint-best: step {best['step']}")
    linear = sum(references["linear"]) / len(references["linear"])
    axes.axhline(base, color=_RED, lw=1, ls=":", label="base model, held out")
    axes.axhline(linear, color=_GREEN, lw=1.2, ls="--", label="best linear denoiser")
    axes.set(xlabel="step", ylabel="loss", title="Same run, two ways to look", ylim=(0, None))
    axes.legend(fontsize=7.5, frameon=False)


def over_noise(axes: Axes, records: Sequence[dict[str, Any]], references: dict[str, Any]) -> None:
    """Where along the way from picture to noise the loss comes from."""
    sigmas = references["sigmas"]
    axes.axhline(references["constant"], color=_FAINT, lw=1.2, label="best constant (explains nothing)")
    axes.plot(sigmas, references["linear"], color=_GREEN, lw=1.2, ls="--", label="best linear denoiser")
    known = [record for record in records if "loss/seen" in record]
    best = min(known, key=lambda record: float(record["loss/val/held-out"]))
    axes.plot(*curve(records[0], "held-out/base"), color=_INK, lw=1.5, ls=":", label="base model, held out")
    axes.plot(*curve(best, "held-out"), color=_RED, lw=2, label=f"step {best['step']}, held out")
    axes.plot(
        sigmas, references["optimum"], color=_BLUE, lw=1.2, ls="-.", label="optimum on the training set, no captions"
    )
    axes.set(xlabel="sigma: 0 is the picture, 1 is noise", title="Where the loss comes from")
    axes.set(xlim=(0, 1), ylim=(0, None))
    axes.legend(fontsize=7.5, frameon=False)


def plot(run: Path, target: Path) -> None:
    """Both panels, from ``metrics.jsonl`` and ``loss_references.json`` of an output folder."""
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    references = json.loads((run / "loss_references.json").read_text())
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    over_steps(left, records, references)
    over_noise(right, records, references)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=130)
    _log.info("wrote %s", target)


def main() -> None:
    """Make the run, unless one is given, and the picture."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, nargs="?", help="an output folder with an evaluation in it")
    run: Path | None = parser.parse_args().run
    if run is None:
        folder = BUILD / "loss"
        lay_out(folder)
        subprocess.run([sys.executable, "-m", "simpletuner", "train"], cwd=folder, check=True)
        run = folder / "output"
    plot(run, TARGET)


if __name__ == "__main__":
    main()
