from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from simpletuner.core.errors import DataError
from simpletuner.core.events import StageProgress
from simpletuner.core.samples import SampleId
from simpletuner.data.captions import CaptionSpec
from simpletuner.data.crops import plan_crop
from simpletuner.data.entries import ScannedDataset
from simpletuner.data.geometry import GeometrySpec, Size, place
from simpletuner.data.scan import ScanSpec, scan

GEOMETRY = GeometrySpec(64, alignment=16)


def spec_of(folder: Path, **options: Any) -> ScanSpec:
    return ScanSpec(**{"id": "set", "folder": str(folder), "geometry": GEOMETRY, "captions": CaptionSpec()} | options)


def reasons(scanned: ScannedDataset) -> dict[str, str]:
    return {item.file: item.reason for item in scanned.dropped}


def test_every_picture_is_used_with_its_size_caption_bucket_and_crop(tmp_path: Path, pictures: Any, heard: Any) -> None:
    pictures.write(tmp_path / "b/wide_cat.png", 90, 60)
    pictures.write(tmp_path / "a_dog.jpg", 40, 40)
    scanned = scan(spec_of(tmp_path), seed=7, emit=heard)
    assert (scanned.id, scanned.files, scanned.dropped, scanned.notes) == ("set", 2, (), ())
    dog, cat = scanned.entries
    assert (dog.sample, dog.captions) == (SampleId("set", "a_dog.jpg"), ("a dog",))
    assert (cat.sample, cat.captions) == (SampleId("set", "b/wide_cat.png"), ("wide cat",))
    assert (cat.width, cat.height) == (90, 60)
    assert cat.placement == place(90, 60, GEOMETRY)
    assert cat.crop == plan_crop(cat.placement, "random", 7, "set", "b/wide_cat.png")
    assert heard == [StageProgress("init_data_backend", "Scanning set", 2, 2)]
    assert scan(spec_of(tmp_path), seed=7, emit=heard) == scanned


def test_no_picture_vanishes_without_a_reason(tmp_path: Path, pictures: Any, heard: Any) -> None:
    whole = pictures.write(tmp_path / "good.png", 80, 80).read_bytes()
    pictures.write(tmp_path / "tiny.png", 20, 20)
    pictures.write(tmp_path / "sliver.png", 40, 4000)
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "page.jpg").write_bytes(b"<html>404</html>")
    (tmp_path / "phone.heic").write_bytes(b"x")
    geometry = dataclasses.replace(GEOMETRY, minimum=50)
    scanned = scan(spec_of(tmp_path, geometry=geometry, maximum_edge=512), seed=1, emit=heard)
    assert [entry.sample.path for entry in scanned.entries] == ["good.png"]
    assert scanned.files == 7 == len(scanned.entries) + len(scanned.dropped)
    found = reasons(scanned)
    assert "minimum_image_size" in found["tiny.png"]
    assert "the model takes 512" in found["sliver.png"]
    assert "decoded" in found["cut.png"]
    assert "empty" in found["empty.jpg"]
    assert "HTML" in found["page.jpg"]
    assert ".heic" in found["phone.heic"]
    assert all(item.cure for item in scanned.dropped)


def test_captions_from_text_files(tmp_path: Path, pictures: Any, heard: Any) -> None:
    for name in ("a.png", "b.jpg", "c.png"):
        pictures.write(tmp_path / name, 64, 64)
    (tmp_path / "a.txt").write_text("first\nsecond\n")
    (tmp_path / "b.txt").write_text("\n")
    scanned = scan(spec_of(tmp_path, captions=CaptionSpec("textfile")), seed=1, emit=heard)
    assert [entry.captions for entry in scanned.entries] == [("first", "second")]
    assert "b.txt is empty" in reasons(scanned)["b.jpg"]
    assert "c.txt is missing" in reasons(scanned)["c.png"]


def test_two_pictures_of_one_stem_are_two_samples(tmp_path: Path, pictures: Any, heard: Any) -> None:
    pictures.write(tmp_path / "a.png", 64, 64)
    pictures.write(tmp_path / "a.jpg", 64, 64)
    assert len(scan(spec_of(tmp_path), seed=1, emit=heard).entries) == 2


def test_a_dropped_picture_does_not_decide_a_buckets_size(tmp_path: Path, pictures: Any, heard: Any) -> None:
    geometry = GeometrySpec(1024, minimum=200)
    pictures.write(tmp_path / "a.png", 54, 250)
    pictures.write(tmp_path / "b.png", 225, 1000)
    (entry,) = scan(spec_of(tmp_path, geometry=geometry), seed=1, emit=heard).entries
    assert entry.placement.target == Size(512, 2112)


def test_max_num_samples_is_a_fixed_subset_that_grows(tmp_path: Path, pictures: Any, heard: Any) -> None:
    for number in range(12):
        pictures.write(tmp_path / f"{number}.png", 16, 16)

    def chosen(count: int) -> set[str]:
        scanned = scan(spec_of(tmp_path, max_num_samples=count), seed=count, emit=heard)
        assert any("max_num_samples" in note for note in scanned.notes) is (count < 12)
        return {entry.sample.path for entry in scanned.entries}

    assert len(chosen(5)) == 5
    assert chosen(5) < chosen(8) < chosen(12) == chosen(99)


def test_animations_are_noted(tmp_path: Path, pictures: Any, heard: Any) -> None:
    frames = [pictures.gradient(64, 64, shift) for shift in (0, 90)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    (note,) = scan(spec_of(tmp_path), seed=1, emit=heard).notes
    assert "first frame" in note
    assert "a.gif" in note


def test_an_empty_folder_says_so(tmp_path: Path, heard: Any) -> None:
    with pytest.raises(DataError, match='no images detected in dataset "set"') as caught:
        scan(spec_of(tmp_path), seed=1, emit=heard)
    assert str(tmp_path) in str(caught.value)
    assert "0 picture files found" in str(caught.value)
    assert caught.value.cure


def test_a_folder_of_refused_pictures_says_why(tmp_path: Path, pictures: Any, heard: Any) -> None:
    for number in range(3):
        pictures.write(tmp_path / f"{number}.png", 20, 20)
    geometry = dataclasses.replace(GEOMETRY, minimum=50)
    with pytest.raises(DataError, match="no images detected in dataset") as caught:
        scan(spec_of(tmp_path, geometry=geometry), seed=1, emit=heard)
    message = str(caught.value)
    assert "3 picture files found, 3 dropped, 0 usable" in message
    assert "3 x below minimum_image_size 50 (pixel_area)" in message
    assert "first 0.png: " in message
    assert "20x20, 400 pixels of the 2500 needed" in message
