"""What the runs over all kinds of data share: pictures, dataloader files, commands, and what lies in a cache."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from simpletuner.assemble.data.datasets import Sources, TrainingData, prepare_data
from simpletuner.assemble.parts import load_codec
from simpletuner.assemble.stage import set_stage
from simpletuner.assemble.weights import choose_weights
from simpletuner.cli.main import run
from simpletuner.cli.select import select_run
from simpletuner.core.ranks import ALONE
from simpletuner.data.cache.store import TensorStore
from tests.runs.conftest import DATASETS

Size = tuple[int, int]


def picture(path: Path, size: Size = (64, 64), seed: int = 0) -> Path:
    """A small picture that no other ``seed`` gives, in the format of its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 256, (size[1] // 8 + 1, size[0] // 8 + 1, 3), dtype=np.uint8)
    Image.fromarray(values).resize(size).save(path)
    return path


def folder(where: str, sizes: dict[str, Size]) -> None:
    """Pictures by name, each of its own content, in a folder that holds nothing else."""
    for old in Path(where).glob("*"):
        old.unlink()
    for seed, (name, size) in enumerate(sizes.items()):
        picture(Path(where) / name, size, seed)


def dataset(**keys: Any) -> dict[str, Any]:
    """The entry of the `train` fixture with other keys."""
    return DATASETS[0] | keys


def dataloader(*entries: dict[str, Any]) -> None:
    """Write the dataloader file."""
    Path("config/multidatabackend.json").write_text(json.dumps(list(entries)))


def command(name: str, *words: str, **options: object) -> int:
    """`simpletuner NAME WORD... key=value...`; its exit code."""
    return run([name, *words, *(f"{key}={value}" for key, value in options.items())])


def entries(where: str = "cache/vae") -> dict[Path, int]:
    """Every cache entry with the time it was written."""
    return {path: path.stat().st_mtime_ns for path in Path(where).rglob("*.safetensors")}


def facts(where: str = "cache/vae") -> list[dict[str, str]]:
    """What every entry of a cache says of itself; one that is damaged is None, and no test expects it."""
    store = TensorStore(Path(where))
    return [found for key in sorted(store.keys()) if (found := store.facts(key)) is not None]


def samples(where: str = "cache/vae") -> Counter[str]:
    """How many sound entries each picture has."""
    return Counter(found["sample"] for found in facts(where))


def report(output: str = "output") -> list[dict[str, Any]]:
    """The data sets of ``report.json``."""
    found: list[dict[str, Any]] = json.loads((Path(output) / "report.json").read_text())["datasets"]
    return found


def adapter(output: str = "output") -> dict[str, Tensor]:
    """The final adapter."""
    return load_file(Path(output) / "pytorch_lora_weights.safetensors")


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether two adapters are equal to the bit."""
    return one.keys() == other.keys() and all(one[name].equal(other[name]) for name in one)


def training_data(**options: object) -> TrainingData:
    """The data of a run as training sees it."""
    loaded, _ = select_run([f"{key}={value}" for key, value in options.items()], Path.cwd(), os.environ)
    stage = set_stage(loaded, None, lambda _event: None)
    weights = choose_weights(loaded, stage.family.facts)
    text = stage.family.load_text(weights.source, builtin_negative=weights.builtin_negative)
    sources = Sources(load_codec(stage, weights.source), text, stage.seed, stage.family.facts.longest_edge)
    return prepare_data(loaded, sources, ALONE, lambda _event: None)


def uses(data: TrainingData, epoch: int = 0) -> Counter[str]:
    """How often each picture is used in an epoch."""
    return Counter(str(use.sample) for update in data.plan(epoch) for use in update.uses)
