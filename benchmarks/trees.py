"""Generated data sets, and a run's configuration over them."""

from __future__ import annotations

import io
import json
import random
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from simpletuner.config.load import LoadedRun, load_run
from simpletuner.config.reading.find import Selection, example_folder

_EXAMPLE = example_folder("emoji-style")
_DISTINCT = 200
_IN_FOLDER = 400
_SHAPES = ((3, 2), (2, 3), (4, 3), (3, 4), (16, 9), (1, 1))
_SUBJECTS = ("cat", "bicycle", "bridge", "kitchen", "meadow", "harbour", "portrait", "street")


def small_tree(folder: Path, count: int, *, texts: bool = False) -> None:
    """``count`` tiny JPEGs of many sizes, 400 to a folder; 200 of them differ, all can be decoded.

    ``texts`` puts a caption beside each.
    """
    draw = random.Random(0)
    contents = [_jpeg(np.random.default_rng(number), _some_size(draw), quality=30) for number in range(_DISTINCT)]
    for number in range(count):
        below = folder / f"{number // _IN_FOLDER:04}"
        if number % _IN_FOLDER == 0:
            below.mkdir(parents=True)
        name = f"{_SUBJECTS[number % len(_SUBJECTS)]}_{number:07}"
        (below / f"{name}.jpg").write_bytes(contents[number % _DISTINCT])
        if texts:
            (below / f"{name}.txt").write_text(_caption(number))


def photos(folder: Path, count: int, edge: int, *, texts: bool = False) -> None:
    """``count`` different JPEGs of ``edge`` px that weigh and take as much to decode as photographs of quality 90."""
    folder.mkdir(parents=True)
    with ThreadPoolExecutor(2) as pool:
        for _ in pool.map(partial(_photo, folder, edge, texts=texts), range(count)):
            pass


def _photo(folder: Path, edge: int, number: int, *, texts: bool) -> None:
    name = f"{_SUBJECTS[number % len(_SUBJECTS)]}_{number:06}"
    (folder / f"{name}.jpg").write_bytes(_jpeg(np.random.default_rng(number), (edge, edge), quality=90, grain=True))
    if texts:
        (folder / f"{name}.txt").write_text(_caption(number))


def _jpeg(draw: np.random.Generator, size: tuple[int, int], quality: int, *, grain: bool = False) -> bytes:
    """Soft colours, with ``grain`` a detail in every block as well."""
    soft = Image.fromarray(draw.integers(0, 255, (9, 9, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    if grain:
        fine = draw.integers(0, 255, (size[1] // 2, size[0] // 2, 3), dtype=np.uint8)
        soft = Image.blend(soft, Image.fromarray(fine).resize(size, Image.Resampling.BILINEAR), 0.35)
    stream = io.BytesIO()
    soft.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def _some_size(draw: random.Random) -> tuple[int, int]:
    """As cameras and crops make them: a usual shape, any edge from 96 to 160 px, a few pixels off."""
    width, height = draw.choice(_SHAPES)
    edge = draw.randint(96, 160)
    return edge * width // max(width, height) + draw.randint(0, 3), edge * height // max(width, height)


def _caption(number: int) -> str:
    return f"a photograph of a {_SUBJECTS[number % len(_SUBJECTS)]}, number {number}, in soft light\n"


def write_run(folder: Path, pictures: Path, dataset: Mapping[str, object], **options: object) -> LoadedRun:
    """A run of the tiny model over ``pictures``, its files in ``folder``, read and checked."""
    folder.mkdir(parents=True)
    config = json.loads((_EXAMPLE / "config.json").read_text())
    changed = {"output_dir": str(folder / "output"), "report_to": "none", "validation_disable": True}
    entry = {
        "id": "bench",
        "type": "local",
        "instance_data_dir": str(pictures),
        "cache_dir_vae": str(folder / "cache"),
        "resolution_type": "pixel",
        **dataset,
    }
    texts = {"id": "texts", "type": "local", "dataset_type": "text_embeds", "cache_dir": str(folder / "texts")}
    (folder / "config.json").write_text(json.dumps({**config, **changed, **options}))
    (folder / "multidatabackend.json").write_text(json.dumps([entry, {**texts, "default": True}]))
    shutil.copy(_EXAMPLE / "lycoris_config.json", folder)
    shutil.copy(_EXAMPLE / "prompts.json", folder)
    return load_run(Selection(config_file=folder / "config.json"), {}, folder, {})
