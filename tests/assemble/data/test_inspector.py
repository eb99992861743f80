from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from simpletuner.assemble.data.inspector import Findings, inspect_datasets
from simpletuner.assemble.data.survey import around_of
from simpletuner.core.errors import ConfigError, DataError
from simpletuner.core.events import Event, StageProgress
from simpletuner.data.cache.keys import content_digest
from simpletuner.data.files.table import PictureTable
from simpletuner.data.report.alike import looker
from simpletuner.data.report.deep import Depths, Diver
from tests.assemble.conftest import dataset, loaded_run, write_scenes

Inspect = Callable[..., Findings]
MASKS = {"dataset_type": "conditioning", "conditioning_type": "mask"}


@pytest.fixture
def inspect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inspect:
    """Look at data sets of the working directory."""
    monkeypatch.chdir(tmp_path)
    heard: list[Event] = []

    def run(*datasets: Mapping[str, Any], deep: bool = False, processes: int = 1, **options: Any) -> Findings:
        loaded = loaded_run(tmp_path, datasets, **options)
        around = around_of(loaded, 42, 1024)
        found = inspect_datasets(
            loaded.datasets, around, processes, Diver(looker(), heard.append) if deep else None, heard.append
        )
        # Notices are kept with their data set, only progress is passed on.
        assert all(isinstance(event, StageProgress) for event in heard)
        return found

    return run


def test_one_bad_data_set_hides_no_other(inspect: Inspect, tmp_path: Path) -> None:
    write_scenes(tmp_path / "cats", ["a.png", "b.png"])
    for name in ("empty", "broken"):
        (tmp_path / name).mkdir()
    (tmp_path / "broken/x.png").write_bytes(b"<html>")
    found = inspect(dataset("empty"), dataset("cats"), dataset("broken"))
    assert sorted(found.surveyed) == ["cats"]
    assert isinstance(found.failures["empty"], DataError)
    assert "it holds HTML" in str(found.failures["broken"])


def test_an_index_that_cannot_be_written_fails_its_data_set_alone(inspect: Inspect, tmp_path: Path) -> None:
    write_scenes(tmp_path / "cats", ["a.png"])
    write_scenes(tmp_path / "dogs", ["a.png"])
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/cats").write_text("a file where the folder should be")
    found = inspect(dataset("cats"), dataset("dogs"))
    assert sorted(found.surveyed) == ["dogs"]
    assert found.failures["cats"].key == "cache_dir_vae"


def test_a_wrong_resolution_map_is_a_configuration_error(inspect: Inspect, tmp_path: Path) -> None:
    write_scenes(tmp_path / "cats", ["a.png"])
    (tmp_path / "output").mkdir()
    (tmp_path / "output/aspect_resolution_map-1.0.json").write_text("[]")
    found = inspect(dataset("cats", resolution=1.0, resolution_type="area"))
    assert isinstance(found.failures["cats"], ConfigError)


def test_notes_are_kept_and_changes_are_not_told_twice(inspect: Inspect, tmp_path: Path) -> None:
    write_scenes(tmp_path / "cats", ["a.png", "b.png", "c.png"])
    assert inspect(dataset("cats", max_num_samples=2)).notes == {"cats": ("max_num_samples keeps 2 of 3 pictures",)}
    write_scenes(tmp_path / "cats", ["d.png"])
    found = inspect(dataset("cats"))
    assert found.surveyed["cats"].scanned.changes.added == ("d.png",)
    assert found.notes == {"cats": ()}


def test_partners_are_found_and_a_missing_one_is_named(inspect: Inspect, tmp_path: Path) -> None:
    write_scenes(tmp_path / "cats", ["a.png", "b.png"])
    write_scenes(tmp_path / "masks", ["a.png"])
    entries = (dataset("cats", conditioning_data="masks"), dataset("masks", **MASKS))
    found = inspect(*entries)
    assert sorted(found.surveyed) == ["masks"]
    assert "b.png" in str(found.failures["cats"])
    write_scenes(tmp_path / "masks", ["b.jpg"])
    found = inspect(*entries)
    assert found.surveyed["cats"].partners == {"masks": {"a.png": "a.png", "b.png": "b.jpg"}}
    assert found.surveyed["cats"].config.conditioning_data == ("masks",)


def test_a_picture_whose_mask_was_dropped_is_left_out_for_its_reason(inspect: Inspect, tmp_path: Path) -> None:
    write_scenes(tmp_path / "cats", ["a.png", "b.png"])
    write_scenes(tmp_path / "masks", ["a.png"])
    (tmp_path / "masks/b.png").touch()
    found = inspect(dataset("cats", conditioning_data="masks"), dataset("masks", **MASKS))
    assert found.failures == {}
    cats = found.surveyed["cats"]
    assert cats.partners == {"masks": {"a.png": "a.png"}}
    assert [(item.file, item.cause) for item in cats.later] == [("b.png", "partner")]
    assert 'its partner b.png in data set "masks": the file is empty' in cats.later[0].reason


def test_a_data_set_whose_masks_cannot_be_used_cannot_either(inspect: Inspect, tmp_path: Path) -> None:
    write_scenes(tmp_path / "cats", ["a.png"])
    (tmp_path / "masks").mkdir()
    found = inspect(dataset("cats", conditioning_data="masks"), dataset("masks", **MASKS))
    assert found.surveyed == {}
    assert 'data set "masks", which cannot be used' in str(found.failures["cats"])


def test_the_plan_counts_with_the_processes_that_will_train(inspect: Inspect, tmp_path: Path) -> None:
    write_scenes(tmp_path / "cats", ["a.png", "b.png"])
    found = inspect(dataset("cats"), processes=3, gradient_accumulation_steps=2).surveyed["cats"]
    assert found.planned().batch == 2 * 3 * 2
    assert (found.around.ranks.count, found.around.accumulation) == (3, 2)
    assert [path.name for path in (tmp_path / "cache/cats").iterdir()] == ["index-cats.sqlite"]


def spoil(path: Path) -> None:
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes(64) + content[middle + 64 :])


def test_deep_leaves_out_what_is_damaged_and_what_has_a_damaged_mask(inspect: Inspect, tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(4)]
    write_scenes(tmp_path / "cats", names, (128, 128))
    write_scenes(tmp_path / "masks", names, (128, 128))
    for path in ("cats/0.png", "masks/1.png", "cats/2.png", "masks/2.png"):
        spoil(tmp_path / path)
    entries = (dataset("cats", conditioning_data="masks"), dataset("masks", **MASKS))
    assert len(inspect(*entries).surveyed["cats"].scanned.table) == 4
    found = inspect(*entries, deep=True)
    cats = found.surveyed["cats"]
    assert list(cats.scanned.table.paths) == ["3.png"]
    assert {(item.file, item.cause) for item in cats.later} == {
        ("0.png", "unreadable"), ("1.png", "partner"), ("2.png", "unreadable"),
    }  # fmt: skip
    assert list(found.surveyed["masks"].scanned.table.paths) == ["0.png", "3.png"]
    assert sorted(found.depths["cats"].readings) == ["1.png", "3.png"]


def test_masks_that_deep_cannot_use_fail_their_pictures_too(inspect: Inspect, tmp_path: Path) -> None:
    for name in ("cats", "masks"):
        write_scenes(tmp_path / name, ["a.png"], (128, 128))
    entries = (dataset("cats", conditioning_data="masks"), dataset("masks", **MASKS))
    index = tmp_path / "cache/masks/index-masks.sqlite"

    class Blocking(Diver):
        def dive(self, table: PictureTable, *others: Any) -> Depths:
            if table.dataset == "masks":
                raise OSError(5, "Input/output error", str(index))
            return super().dive(table, *others)

    loaded = loaded_run(tmp_path, entries)
    diver = Blocking(looker(), lambda _event: None)
    found = inspect_datasets(loaded.datasets, around_of(loaded, 42, 1024), 1, diver, lambda _event: None)
    assert found.surveyed == {}
    assert "Input/output error" in str(found.failures["masks"])
    assert 'data set "masks", which cannot be used' in str(found.failures["cats"])


def test_nothing_left_after_decoding_fails_the_data_set(inspect: Inspect, tmp_path: Path) -> None:
    write_scenes(tmp_path / "cats", ["a.png"], (128, 128))
    spoil(tmp_path / "cats/a.png")
    assert "none of the last 1 pictures can be used" in str(inspect(dataset("cats"), deep=True).failures["cats"])


def test_what_deep_reads_is_known_the_next_time(
    inspect: Inspect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scenes(tmp_path / "cats", ["a.png", "b.png"])
    # A file that was written just now is not trusted to be the same the next time.
    later = time.time() + 60
    monkeypatch.setattr(time, "time", lambda: later)
    assert inspect(dataset("cats")).surveyed["cats"].scanned.table.digests == {}
    inspect(dataset("cats"), deep=True)
    digests = inspect(dataset("cats")).surveyed["cats"].scanned.table.digests
    assert digests == {path.name: content_digest(path.read_bytes()) for path in (tmp_path / "cats").iterdir()}


def test_damage_that_deep_found_is_dropped_unread_the_next_time(
    inspect: Inspect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scenes(tmp_path / "cats", ["a.png", "b.png", "c.png"])
    spoil(tmp_path / "cats/b.png")
    later = time.time() + 60
    monkeypatch.setattr(time, "time", lambda: later)
    assert len(inspect(dataset("cats")).surveyed["cats"].scanned.table) == 3
    deep = inspect(dataset("cats"), deep=True).surveyed["cats"]
    plain = inspect(dataset("cats")).surveyed["cats"]
    assert len(plain.scanned.table) == 2
    assert [item.file for item in plain.scanned.dropped] == ["b.png"]
    assert [item.reason for item in plain.scanned.dropped] == [item.reason for item in deep.later]
    write_scenes(tmp_path / "cats", ["b.png"])
    assert len(inspect(dataset("cats")).surveyed["cats"].scanned.table) == 3


def test_raws_beside_their_pictures_are_not_counted_as_unreadable(inspect: Inspect, tmp_path: Path) -> None:
    write_scenes(tmp_path / "cats", ["a.png", "b.png"])
    for name in ("a.nef", "b.nef"):
        (tmp_path / "cats" / name).write_bytes(b"raw")
    assert not inspect(dataset("cats", maximum_unreadable_percent=0)).failures
    (tmp_path / "cats/c.nef").write_bytes(b"raw")
    failure = inspect(dataset("cats", maximum_unreadable_percent=0)).failures["cats"]
    assert "1 of 3 pictures (33.3 %) cannot be read" in str(failure)


@pytest.mark.parametrize("deep", [False, True])
def test_too_many_unreadable_pictures_fail_the_data_set(inspect: Inspect, tmp_path: Path, deep: bool) -> None:
    write_scenes(tmp_path / "cats", ["a.png", "b.png", "c.png", "d.png"])
    if deep:
        spoil(tmp_path / "cats/b.png")
    else:
        (tmp_path / "cats/b.png").write_bytes(b"<html>")
    assert not inspect(dataset("cats", maximum_unreadable_percent=25), deep=deep).failures
    failure = inspect(dataset("cats", maximum_unreadable_percent=24.9), deep=deep).failures["cats"]
    assert isinstance(failure, DataError)
    assert "1 of 4 pictures (25 %) cannot be read" in str(failure)
