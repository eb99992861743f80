from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from simpletuner.assemble.planning.estimate import _prepare
from simpletuner.assemble.planning.imagined import imagine
from simpletuner.assemble.stage import silent
from tests.assemble.conftest import dataset, loaded_run, write_scenes
from tests.assemble.planning.conftest import World


def test_latents_have_the_shape_of_their_bucket_and_are_no_points(world: World) -> None:
    data = world.ready.data
    shapes = {tuple(data.latents(use).mean.shape) for update in data.calendar.plan(0) for use in update.uses}
    assert shapes == {(4, 8, 8), (4, 8, 16)}
    use = data.calendar.plan(0)[0].uses[0]
    one, again = data.latents(use), data.latents(use)
    assert torch.equal(one.mean, again.mean)
    assert 0.5 < float(one.mean.std()) < 2
    assert float(one.logvar.exp().mean()) < 0.01
    assert data.masks(use) is None


def test_the_plan_is_that_of_all_processes_and_the_share_is_that_of_one(world: World) -> None:
    ready = world.ready
    data, _ = imagine(ready.stage, ready.codec, ready.text, 2)
    lengths = [len(update.uses) for update in data.calendar.plan(0)]
    assert sorted(lengths) == [2, 4, 4, 4]
    assert {tuple(len(uses) for uses in data.slices(update)) for update in data.calendar.plan(0)} == {(1,), (2,)}


def test_references_and_masks_are_imagined_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["a.png", "b.png"]
    write_scenes(tmp_path / "cats", names)
    write_scenes(tmp_path / "before", names, (64, 64), 20)
    (tmp_path / "masks").mkdir()
    for name in names:
        Image.new("L", (64, 64), 255).save(tmp_path / "masks" / name)
    loaded = loaded_run(
        tmp_path,
        [
            dataset("cats", caption_strategy="filename", conditioning_data=["before", "masks"]),
            dataset("before", dataset_type="conditioning", conditioning_type="reference_strict"),
            dataset("masks", dataset_type="conditioning", conditioning_type="mask"),
        ],
    )
    ready = _prepare(loaded, silent)
    use = ready.data.calendar.plan(0)[0].uses[0]
    mask = ready.data.masks(use)
    assert mask is not None
    assert mask.shape == (1, 8, 8)
    assert 0 <= float(mask.min()) <= float(mask.max()) <= 1
    assert [tuple(posterior.mean.shape) for posterior in ready.data.references(use)] == [(4, 8, 8)]
    assert ready.found[0].shape.references == 1
    assert [path.suffix for path in (tmp_path / "cache").rglob("*") if path.is_file()] == [".sqlite"] * 3
