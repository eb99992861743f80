"""One small run with two shapes, a held-out picture and an average, built once for all tests of this room."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

import pytest

from simpletuner.assemble.planning import seeing, steps
from simpletuner.assemble.planning.estimate import _prepare, _Ready
from simpletuner.assemble.planning.seeing import Eyes
from simpletuner.assemble.stage import silent
from simpletuner.assemble.training.engine import build_engine
from simpletuner.assemble.training.network import Built, build_model
from simpletuner.config.load import LoadedRun
from simpletuner.training.update import Engine
from tests.assemble.conftest import dataset, loaded_run, write_scenes

OPTIONS = {
    "use_ema": True,
    "checkpoint_step_interval": 4,
    "validation_disable": False,
    "validation_prompt": "a cat",
    "validation_resolution": "64x64,128x64",
    "validation_num_inference_steps": 5,
    "validation_step_interval": 5,
    "eval_steps_interval": 5,
    "eval_timesteps": 3,
}


@dataclass(frozen=True)
class World:
    """Everything that a plan is made of."""

    folder: Path
    loaded: LoadedRun
    ready: _Ready
    built: Built
    engine: Engine

    @property
    def eyes(self) -> Eyes:
        return Eyes(self.ready.stage, self.engine, self.ready.codec, self.ready.text, self.ready.data)


def lay_out(folder: Path) -> list[dict[str, object]]:
    """Five square pictures, of which the last has the longest caption, two wide ones, one held out."""
    names = ["a.png", "b.png", "c.png", "d.png", "a_cat_that_sits_on_a_red_mat_in_the_sun.png"]
    write_scenes(folder / "cats", names)
    write_scenes(folder / "cats", ["wide_a.png", "wide_b.png"], (128, 64), 10)
    write_scenes(folder / "held", ["x.png"], first=50)
    shape = {"crop": False, "caption_strategy": "filename", "repeats": 1}
    return [dataset("cats", **shape), dataset("held", dataset_type="eval", **shape)]


@pytest.fixture(scope="session")
def built_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("planned")
    with chdir(folder):
        loaded = loaded_run(folder, lay_out(folder), **OPTIONS)
        ready = _prepare(loaded, silent)
        built = build_model(ready.stage, ready.weights.source)
        engine = build_engine(ready.stage, built.model, ready.data, ready.text, ready.length)
    return World(folder, loaded, ready, built, engine)


@pytest.fixture
def world(built_world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The world, with its folder as the working directory; nothing may be written there but indexes.

    Little is measured twice: these tests ask what is counted, not how long it takes.
    """
    for module in (seeing, steps):
        monkeypatch.setattr(module, "_ENOUGH_SECONDS", 0.05)
    with chdir(built_world.folder):
        yield built_world
    assert not (built_world.folder / "output").exists()
    cached = [path.name for path in (built_world.folder / "cache").rglob("*") if path.is_file()]
    assert {Path(name).suffix for name in cached} == {".sqlite"}, json.dumps(cached)
