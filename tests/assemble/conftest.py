"""A run on disk as a user would lay it out, with data sets of small real pictures."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from simpletuner.config.load import LoadedRun, load_run
from simpletuner.config.reading.find import Selection

LYCORIS = Path(__file__).parents[1] / "fixtures" / "document" / "lycoris_config.json"
OPTIONS = {
    "model_type": "lora",
    "lora_type": "lycoris",
    "model_family": "omnigen",
    "model_flavour": "tiny",
    "lycoris_config": "lycoris_config.json",
    "data_backend_config": "config/multidatabackend.json",
    "output_dir": "output",
    "train_batch_size": 2,
    "max_train_steps": 10,
    "optimizer": "adamw_bf16",
    "learning_rate": 1e-3,
    "lr_scheduler": "constant",
    "validation_disable": True,
    "seed": 42,
}


def scene(seed: int, size: tuple[int, int] = (64, 64)) -> Image.Image:
    """A smooth picture that looks like no other."""
    grid = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC)


def write_scenes(folder: Path, names: Sequence[str], size: tuple[int, int] = (64, 64), first: int = 0) -> None:
    """Write a picture of its own for each name; ``first`` is the seed of the first one."""
    for number, name in enumerate(names, first):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        scene(number, size).save(folder / name)


def dataset(name: str, **keys: Any) -> dict[str, Any]:
    """The entry of a data set whose pictures lie in the folder of its name, trained at 64."""
    shape = {"resolution": 64, "resolution_type": "pixel", "minimum_image_size": 0}
    return {"id": name, "type": "local", "instance_data_dir": name, "cache_dir_vae": f"cache/{name}", **shape, **keys}


def write_run(root: Path, datasets: Sequence[Mapping[str, Any]], **options: Any) -> None:
    """Write the configuration files of a run into the folder ``root``."""
    (root / "config").mkdir(exist_ok=True)
    shutil.copy(LYCORIS, root / "config")
    (root / "config" / "config.json").write_text(json.dumps(OPTIONS | options))
    (root / "config" / "multidatabackend.json").write_text(json.dumps(datasets))


def loaded_run(root: Path, datasets: Sequence[Mapping[str, Any]], **options: Any) -> LoadedRun:
    """Write a run and load it; ``root`` must be the working directory."""
    write_run(root, datasets, **options)
    return load_run(Selection(), {}, root, {})
