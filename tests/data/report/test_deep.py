from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from simpletuner.core.events import StageProgress
from simpletuner.data.cache.keys import content_digest
from simpletuner.data.files.images import open_rgb
from simpletuner.data.files.index import Known, open_index
from simpletuner.data.files.table import PictureTable
from simpletuner.data.report.alike import looker
from simpletuner.data.report.deep import Depths, Diver, Leak, Reading, identical, leaks, similar
from simpletuner.data.sources.folder import FolderSource


def scene(seed: int) -> Image.Image:
    grid = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(grid).resize((96, 64), Image.Resampling.BICUBIC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    folder.mkdir()
    for number in range(4):
        scene(number).save(folder / f"{number}.png")
    return folder


def table_of(folder: Path) -> PictureTable:
    paths = sorted(FolderSource.at(str(folder)).listing().pictures)
    sizes = [open_rgb((folder / path).read_bytes()).size for path in paths]
    widths, heights = zip(*sizes, strict=True)
    return PictureTable("set", paths, np.int32(widths), np.int32(heights), [("",)] * len(paths))


def dive(folder: Path, heard: Any, table: PictureTable | None = None, diver: Diver | None = None) -> Depths:
    source = FolderSource.at(str(folder))
    with open_index(folder.parent / "index.sqlite") as index:
        index.save((path, Known(source.version(path), 1, 1)) for path in source.listing().pictures)
        return (diver or Diver(looker(), heard)).dive(table or table_of(folder), source, index)


def known(folder: Path) -> dict[str, str]:
    with open_index(folder.parent / "index.sqlite") as index:
        return {path: row.digest for path, row in index.load().items()}


def test_every_picture_is_decoded_and_its_digest_is_kept(folder: Path, heard: Any) -> None:
    found = dive(folder, heard)
    assert sorted(found.readings) == ["0.png", "1.png", "2.png", "3.png"]
    assert found.dropped == ()
    assert known(folder) == {path.name: content_digest(path.read_bytes()) for path in folder.iterdir()}
    assert heard[-1] == StageProgress("check_deep", "Decoding set", 4, 4)


@pytest.mark.parametrize("kept", [0.3, 0.7, 0.97])
def test_a_damaged_picture_is_named(folder: Path, heard: Any, kept: float) -> None:
    table = table_of(folder)
    content = (folder / "2.png").read_bytes()
    (folder / "2.png").write_bytes(content[: int(len(content) * kept)])
    found = dive(folder, heard, table)
    assert [item.file for item in found.dropped] == ["2.png"]
    assert found.damaged == {"2.png"}
    assert "2.png" not in found.readings
    assert "truncated or damaged" in found.dropped[0].cure


def test_a_size_that_a_table_has_wrong_is_named(folder: Path, heard: Any) -> None:
    right = table_of(folder)
    table = PictureTable("set", right.paths, right.widths + np.int32([0, 1, 0, 0]), right.heights, right.captions)
    (item,) = dive(folder, heard, table).dropped
    assert item.file == "1.png"
    assert "97x64 when the data set was scanned and is 96x64" in item.reason


def test_another_format_than_the_name_says(folder: Path, heard: Any) -> None:
    scene(8).save(folder / "8.jpg", "PNG")
    scene(9).save(folder / "9.jpeg", "JPEG")
    scene(7).save(folder / "7.webp", "WEBP")
    assert dive(folder, heard).mislabelled == ("8.jpg (PNG)",)


def test_more_pictures_than_one_piece(folder: Path, heard: Any) -> None:
    for number in range(40):
        shutil.copy(folder / "0.png", folder / f"copy_{number:02d}.png")
    assert len(dive(folder, heard).readings) == 44
    assert "" not in known(folder).values()


def test_a_folder_that_two_data_sets_share_is_decoded_once(folder: Path, heard: Any) -> None:
    taken: list[Image.Image] = []
    take = looker()

    def look(image: Image.Image) -> bytes:
        taken.append(image)
        return take(image)

    diver = Diver(look, heard)
    first = dive(folder, heard, diver=diver)
    (folder.parent / "index.sqlite").unlink()
    assert dive(folder, heard, diver=diver).readings == first.readings
    assert len(taken) == 4
    # The second index learns all the same.
    assert "" not in known(folder).values()


def test_files_with_the_same_bytes() -> None:
    assert identical({"c": "1", "a": "1", "b": "2", "e": "3", "d": "3", "f": "4"}) == [("a", "c"), ("d", "e")]
    assert identical({}) == []


def readings(folder: str, *seeds: int) -> dict[str, Reading]:
    look = looker()
    return {f"{folder}/{seed}.png": Reading(look(scene(seed)), f"{folder}{seed}") for seed in seeds}


def test_pictures_that_look_alike_without_being_the_same_file() -> None:
    found = readings("set", 1, 2, 3)
    found["set/1 again.png"] = found["set/1.png"]._replace(digest="other")
    found["set/2 again.png"] = found["set/2.png"]
    assert similar(found) == [("set/1 again.png", "set/1.png")]


def test_leaks_name_the_held_out_picture_and_the_trained_one() -> None:
    trained, held_out = readings("train", 1, 2, 3), readings("eval", 3, 4)
    assert leaks(trained, held_out) == [Leak("eval/3.png", "train/3.png", 0)]
    nearer = bytes(
        [*held_out["eval/4.png"].look[:7], held_out["eval/4.png"].look[7] ^ 1, *held_out["eval/4.png"].look[8:]]
    )
    further = bytes([nearer[0] ^ 3, *nearer[1:]])
    trained |= {"train/far": Reading(further, "f"), "train/near": Reading(nearer, "n")}
    assert leaks(trained, held_out)[1] == Leak("eval/4.png", "train/near", 1)
    assert leaks(trained, {}) == leaks({}, held_out) == []


def test_a_leaked_copy_is_told_from_a_look_alike() -> None:
    look = readings("train", 1)["train/1.png"].look
    trained = {"train/b": Reading(look, "same"), "train/a": Reading(look, "same"), "train/c": Reading(look, "other")}
    held_out = {"eval/copy": Reading(look, "same"), "eval/twin": Reading(look, "third")}
    copy, twin = leaks(trained, held_out)
    assert copy == Leak("eval/copy", "train/a", 0, identical=True)
    assert (twin.held_out, twin.distance, twin.identical) == ("eval/twin", 0, False)
