"""A folder as the pages take it to be: the checkout's example files, pictures, and an example that was trained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from simpletuner.cli.main import run
from simpletuner.config.reading.find import example_folder
from tests.docs.blocks import ROOT

PICTURES = example_folder("emoji-style") / "images"
SIZES = {"small": 64, "my-pictures": 64, "pseudo-camera-10k": 512, "cats": 1024, "dreambooth-subject": 1024}
# What a command trains on in the place of data sets of 1024 px.
SMALL = [
    {
        "id": "small",
        "type": "local",
        "instance_data_dir": "datasets/small",
        "cache_dir_vae": "cache/vae/small",
        "resolution": 64,
        "resolution_type": "pixel",
    }
]


def lay_out(folder: Path) -> Path:
    """``folder`` with the checkout's ``config/``, used example files among it, and a few pictures."""
    shutil.copytree(ROOT / "config", folder / "config")
    for file in (ROOT / "config").glob("*.example"):
        shutil.copy(file, folder / "config" / file.stem)
    (folder / "config" / "omnigen").mkdir()
    shutil.copy(folder / "config" / "multidatabackend.json", folder / "config" / "omnigen")
    (folder / "small.json").write_text(json.dumps(SMALL))
    for name, size in SIZES.items():
        place = folder / "datasets" / name
        place.mkdir(parents=True)
        for picture in ("frog", "rocket"):
            with Image.open(PICTURES / f"{picture}.png") as image:
                image.convert("RGB").resize((size, size)).save(place / f"{picture}.jpg")
    return folder


@pytest.fixture(scope="session")
def laid_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such a folder in which nothing has run; copy it."""
    return lay_out(tmp_path_factory.mktemp("docs"))


@pytest.fixture(scope="session")
def trained(laid_out: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such a folder in which `simpletuner train --example emoji-style` has made two steps."""
    folder = Path(shutil.copytree(laid_out, tmp_path_factory.mktemp("docs") / "trained"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        words = ["max_train_steps=2", "validation_num_inference_steps=1", "disable_benchmark=true"]
        assert run(["train", "--example", "emoji-style", *words]) == 0
    return folder
