from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from simpletuner.assemble.data.cache_run import fill
from simpletuner.assemble.planning.caching import measure_caching
from simpletuner.assemble.planning.estimate import _prepare
from simpletuner.assemble.stage import silent
from tests.assemble.conftest import dataset, loaded_run, write_scenes
from tests.assemble.planning.conftest import World


def test_every_latent_is_missing_at_first(world: World) -> None:
    ready = world.ready
    found = measure_caching(ready.stage, ready.codec, ready.text, ready.every)
    assert found.latents == 8
    assert [(size.size, size.count) for size in found.sizes] == [("64x64", 6), ("128x64", 2)]
    assert all(size.peak is not None and size.each > 0 for size in found.sizes)
    assert found.seconds == pytest.approx(sum(size.each * size.count for size in found.sizes))
    assert set(found.by_folder) == {world.folder / "cache/cats", world.folder / "cache/held", world.loaded.text_cache}


def test_bytes_are_those_that_a_cache_really_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_scenes(tmp_path / "cats", ["a.png", "b.png", "a longer name.png"])
    write_scenes(tmp_path / "cats", ["wide.png"], (128, 64), 7)
    shutil.copy(tmp_path / "cats/a.png", tmp_path / "cats/twin.png")
    # What is known of a file that has only just been written is not trusted at the next start.
    time.sleep(2.1)
    loaded = loaded_run(tmp_path, [dataset("cats", caption_strategy="filename")])

    def planned() -> tuple[int, int]:
        ready = _prepare(loaded, silent)
        found = measure_caching(ready.stage, ready.codec, ready.text, ready.every)
        return found.latents, found.bytes

    latents, expected = planned()
    fill(loaded, silent)
    entries = [*(tmp_path / "cache").rglob("*.safetensors"), *loaded.text_cache.rglob("*.safetensors")]
    written = sum(entry.stat().st_size for entry in set(entries))
    # Nobody has read the twins yet, which share an entry.
    assert latents == 5
    assert expected == pytest.approx(written, rel=0.25)
    assert planned() == (0, 0)
    next((tmp_path / "cache/cats").rglob("*.safetensors")).unlink()
    assert planned()[0] == 1


def test_what_is_not_kept_takes_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_scenes(tmp_path / "cats", ["a.png"])
    loaded = loaded_run(tmp_path, [dataset("cats", caption_strategy="filename", vae_cache_disable=True)])
    ready = _prepare(loaded, silent)
    found = measure_caching(ready.stage, ready.codec, ready.text, ready.every)
    assert found.by_folder[tmp_path / "cache/cats"] == 0
    assert found.bytes == found.by_folder[loaded.text_cache] > 0
