from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from simpletuner.core.errors import DataError
from simpletuner.core.events import StageProgress
from simpletuner.core.samples import SampleId
from simpletuner.data.captions.candidates import CaptionSpec
from simpletuner.data.entries import UnreachableError
from simpletuner.data.files.index import open_index
from simpletuner.data.files.scan import ScannedDataset, ScanSpec, scan
from simpletuner.data.places.arrange import ArrangeSpec, arrange
from simpletuner.data.places.geometry import GeometrySpec, Size, WeightedAspect
from simpletuner.data.sources.base import Facts, Listing
from simpletuner.data.sources.folder import FolderSource

GEOMETRY = GeometrySpec(64, alignment=16)
LATER = 60.0


class Counting:
    """A folder that counts what is opened in it, and may know facts of its pictures."""

    def __init__(self, folder: Path, facts: dict[str, Facts] | None = None) -> None:
        self.source = FolderSource.at(str(folder))
        self.where = str(folder)
        self.opened: list[str] = []
        self.facts = facts or {}

    def listing(self) -> Listing:
        return dataclasses.replace(self.source.listing(), facts=self.facts)

    def open(self, path: str) -> Any:
        self.opened.append(path)
        return self.source.open(path)

    def read(self, path: str) -> bytes:
        self.opened.append(path)
        return self.source.read(path)

    def version(self, path: str) -> str:
        return self.source.version(path)

    def renamed_from(self, version: str) -> str:
        return self.source.renamed_from(version)


def scanned_of(source: Path | Counting, heard: Any, *, later: float = LATER, **options: Any) -> ScannedDataset:
    """Scan as if some time had passed since the files were written, so that they count as settled."""
    counting = source if isinstance(source, Counting) else Counting(source)
    spec = ScanSpec(**{"id": "set", "geometry": GEOMETRY, "captions": CaptionSpec()} | options)
    with open_index(Path(counting.where).parent / "cache/index.sqlite") as index:
        return scan(spec, counting, index, emit=heard, now=time.time() + later)


def reasons(scanned: ScannedDataset) -> dict[str, str]:
    return {item.file: item.reason for item in scanned.dropped}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a data set; its index lies beside it."""
    (tmp_path / "set").mkdir()
    return tmp_path / "set"


def test_every_picture_is_used_with_its_size_and_caption(folder: Path, pictures: Any, heard: Any) -> None:
    pictures.write(folder / "b/wide_cat.png", 90, 60)
    pictures.write(folder / "a_dog.jpg", 40, 50)
    scanned = scanned_of(folder, heard)
    assert (scanned.id, scanned.files, scanned.dropped, scanned.notes) == ("set", 2, (), ())
    table = scanned.table
    assert list(table.paths) == ["a_dog.jpg", "b/wide_cat.png"]
    assert table.sample(1) == SampleId("set", "b/wide_cat.png")
    assert (table.widths.tolist(), table.heights.tolist()) == ([40, 90], [50, 60])
    assert list(table.captions) == [("a dog",), ("wide cat",)]
    assert heard == [StageProgress("init_data_backend", "Scanning set", 2, 2)]


def test_a_second_scan_opens_nothing(folder: Path, pictures: Any, heard: Any) -> None:
    for number in range(5):
        pictures.write(folder / f"{number}.png", 64, 64)
        (folder / f"{number}.txt").write_text(f"caption {number}")
    (folder / "broken.png").write_bytes(b"x")
    first, second = Counting(folder), Counting(folder)
    text = CaptionSpec("textfile")
    before = scanned_of(first, heard, captions=text)
    after = scanned_of(second, heard, captions=text)
    assert len(first.opened) >= 11
    assert second.opened == []
    assert list(after.table.captions) == list(before.table.captions) == [(f"caption {n}",) for n in range(5)]
    assert reasons(after) == reasons(before) != {}
    assert not after.changes


def test_what_changed_is_told_by_name_and_only_that_is_opened(folder: Path, pictures: Any, heard: Any) -> None:
    for name in ("same", "edited", "gone", "old"):
        pictures.write(folder / f"{name}.png", 64, 64)
    assert not scanned_of(folder, heard).changes
    pictures.write(folder / "new.png", 32, 32)
    pictures.write(folder / "edited.png", 48, 80)
    (folder / "gone.png").unlink()
    (folder / "old.png").rename(folder / "renamed.png")
    counting = Counting(folder)
    scanned = scanned_of(counting, heard)
    assert scanned.changes.lines() == (
        "1 added: new.png",
        "1 changed: edited.png",
        "1 renamed: old.png -> renamed.png",
        "1 removed: gone.png",
    )
    assert set(counting.opened) == {"new.png", "edited.png"}
    assert list(scanned.table.paths) == ["edited.png", "new.png", "renamed.png", "same.png"]
    assert scanned.table.heights.tolist() == [80, 32, 64, 64]
    assert not scanned_of(folder, heard).changes


def test_an_edited_caption_is_read_again_and_the_picture_is_not(folder: Path, pictures: Any, heard: Any) -> None:
    for name in ("a", "b"):
        pictures.write(folder / f"{name}.png", 64, 64)
        (folder / f"{name}.txt").write_text(name)
    text = CaptionSpec("textfile")
    scanned_of(folder, heard, captions=text)
    (folder / "a.txt").write_text("another")
    (folder / "b.txt").unlink()
    counting = Counting(folder)
    scanned = scanned_of(counting, heard, captions=text)
    assert "a.png" not in counting.opened
    assert list(scanned.table.captions) == [("another",)]
    assert "missing" in reasons(scanned)["b.png"]


def test_another_caption_strategy_needs_no_header_again(folder: Path, pictures: Any, heard: Any) -> None:
    pictures.write(folder / "a.png", 64, 64)
    (folder / "a.txt").write_text("words")
    assert list(scanned_of(folder, heard).table.captions) == [("a",)]
    counting = Counting(folder)
    assert list(scanned_of(counting, heard, captions=CaptionSpec("textfile")).table.captions) == [("words",)]
    assert counting.opened == ["a.txt"]


def test_a_file_touched_just_now_is_looked_at_again(folder: Path, pictures: Any, heard: Any) -> None:
    pictures.write(folder / "a.png", 64, 64)
    scanned_of(folder, heard, later=0.0)
    counting = Counting(folder)
    assert not scanned_of(counting, heard).changes
    assert counting.opened
    again = Counting(folder)
    scanned_of(again, heard)
    assert again.opened == []


def test_digests_come_back_for_unchanged_files_only(folder: Path, pictures: Any, heard: Any) -> None:
    for name in ("a", "b"):
        pictures.write(folder / f"{name}.png", 64, 64)
    scanned_of(folder, heard)
    source = FolderSource.at(str(folder))
    with open_index(folder.parent / "cache/index.sqlite") as index:
        index.learn_digests({name: (source.version(name), f"digest of {name}") for name in ("a.png", "b.png")})
    pictures.write(folder / "b.png", 32, 64)
    assert scanned_of(folder, heard).table.digests == {"a.png": "digest of a.png"}


def test_a_table_that_knows_sizes_and_captions_leaves_pictures_shut(folder: Path, pictures: Any, heard: Any) -> None:
    pictures.write(folder / "a.png", 64, 64)
    counting = Counting(folder, {"a.png": Facts(("one", "two"), Size(300, 200))})
    table = scanned_of(counting, heard, captions=CaptionSpec("table")).table
    assert counting.opened == []
    assert list(table.captions) == [("one", "two")]
    assert (table.widths.tolist(), table.heights.tolist()) == ([300], [200])


SCANNER = """
    import sys, time
    from pathlib import Path
    from simpletuner.data.files import scan as module
    from simpletuner.data.captions.candidates import CaptionSpec
    from simpletuner.data.places.geometry import GeometrySpec
    from simpletuner.data.files.index import open_index
    from simpletuner.data.files.scan import ScanSpec, scan
    from simpletuner.data.sources.folder import FolderSource
    module._WINDOW = 16
    folder = Path(sys.argv[1])
    spec = ScanSpec("set", GeometrySpec(64, alignment=16), CaptionSpec())
    with open_index(folder.parent / "cache/index.sqlite") as index:
        scan(spec, FolderSource.at(str(folder)), index, emit=lambda e: print(e.done, flush=True), now=time.time() + 60)
"""


def test_a_killed_scan_goes_on_where_it_was(folder: Path, pictures: Any, heard: Any) -> None:
    for number in range(200):
        pictures.write(folder / f"{number:03}.png", 16 + number, 64)
    for _ in range(3):
        command = [sys.executable, "-c", textwrap.dedent(SCANNER), str(folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as scanner:
            assert scanner.stdout is not None
            told = int(scanner.stdout.readline())
            scanner.send_signal(signal.SIGKILL)
        assert told == 16
    counting = Counting(folder)
    scanned = scanned_of(counting, heard)
    assert scanned.table.widths.tolist() == [16 + number for number in range(200)]
    assert len(set(counting.opened)) <= 200 - 3 * 16
    assert not scanned.changes.changed


def test_no_picture_vanishes_without_a_reason(folder: Path, pictures: Any, heard: Any) -> None:
    whole = pictures.write(folder / "good.png", 80, 80).read_bytes()
    pictures.write(folder / "tiny.png", 20, 20)
    pictures.write(folder / "sliver.png", 40, 4000)
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "page.jpg").write_bytes(b"<html>404</html>")
    (folder / "phone.heic").write_bytes(b"x")
    geometry = dataclasses.replace(GEOMETRY, minimum=50)
    scanned = scanned_of(folder, heard, geometry=geometry, maximum_edge=512)
    assert list(scanned.table.paths) == ["good.png"]
    assert scanned.files == 7 == len(scanned.table) + len(scanned.dropped)
    found = reasons(scanned)
    assert "minimum_image_size" in found["tiny.png"]
    assert "the model takes 512" in found["sliver.png"]
    assert "decoded" in found["cut.png"]
    assert "empty" in found["empty.jpg"]
    assert "HTML" in found["page.jpg"]
    assert ".heic" in found["phone.heic"]
    assert all(item.cure for item in scanned.dropped)


def test_a_raw_beside_a_used_picture_is_passed_over_and_named(folder: Path, pictures: Any, heard: Any) -> None:
    (folder / "trip.1").mkdir()
    for name in ("a.JPG", "trip.1/b.jpg", "c.jpg", "d.jpg"):
        pictures.write(folder / name, 64, 64)
    (folder / "d.jpg").write_bytes(b"")
    for name in ("a.CR2", "trip.1/b.nef", "b.dng", "d.nef", "c.heic"):
        (folder / name).write_bytes(b"raw")
    scanned = scanned_of(folder, heard)
    assert list(scanned.table.paths) == ["a.JPG", "c.jpg", "trip.1/b.jpg"]
    assert set(reasons(scanned)) == {"b.dng", "d.nef", "d.jpg", "c.heic"}
    assert scanned.files == 7 == len(scanned.table) + len(scanned.dropped)
    (note,) = scanned.notes
    assert note == (
        'data set "set": 2 raw files passed over, each beside a picture of its name that is used: a.CR2, trip.1/b.nef'
    )


def test_captions_from_text_files(folder: Path, pictures: Any, heard: Any) -> None:
    for name in ("a.png", "b.jpg", "c.png"):
        pictures.write(folder / name, 64, 64)
    (folder / "a.txt").write_text("first\nsecond\n")
    (folder / "b.txt").write_text("\n")
    scanned = scanned_of(folder, heard, captions=CaptionSpec("textfile"))
    assert list(scanned.table.captions) == [("first", "second")]
    assert "is empty: b.txt" in reasons(scanned)["b.jpg"]
    assert "is missing: c.txt" in reasons(scanned)["c.png"]


def test_two_pictures_of_one_stem_are_two_samples(folder: Path, pictures: Any, heard: Any) -> None:
    pictures.write(folder / "a.png", 64, 64)
    pictures.write(folder / "a.jpg", 64, 64)
    assert len(scanned_of(folder, heard).table) == 2


def test_a_dropped_picture_does_not_decide_a_buckets_size(folder: Path, pictures: Any, heard: Any) -> None:
    geometry = GeometrySpec(1024, minimum=200)
    pictures.write(folder / "a.png", 54, 250)
    pictures.write(folder / "b.png", 225, 1000)
    table = scanned_of(folder, heard, geometry=geometry).table
    (target,) = arrange(table, ArrangeSpec(geometry), seed=1, epoch=0).targets
    assert target == Size(512, 2112)


def test_max_num_samples_is_a_fixed_subset_that_grows(folder: Path, pictures: Any, heard: Any) -> None:
    for number in range(12):
        pictures.write(folder / f"{number}.png", 16, 16)

    def chosen(count: int) -> set[str]:
        scanned = scanned_of(folder, heard, max_num_samples=count)
        assert any("max_num_samples" in note for note in scanned.notes) is (count < 12)
        return set(scanned.table.paths)

    assert len(chosen(5)) == 5
    assert chosen(5) < chosen(8) < chosen(12) == chosen(99)


def test_animations_are_noted(folder: Path, pictures: Any, heard: Any) -> None:
    frames = [pictures.gradient(64, 64, shift) for shift in (0, 90)]
    frames[0].save(folder / "a.gif", save_all=True, append_images=frames[1:])
    (note,) = scanned_of(folder, heard).notes
    assert "first frame" in note
    assert "a.gif" in note


def test_an_empty_folder_says_so(folder: Path, heard: Any) -> None:
    with pytest.raises(DataError, match='no images detected in dataset "set"') as caught:
        scanned_of(folder, heard)
    assert str(folder) in str(caught.value)
    assert "0 picture files found" in str(caught.value)
    assert caught.value.cure


def test_a_folder_of_refused_pictures_says_why(folder: Path, pictures: Any, heard: Any) -> None:
    for number in range(3):
        pictures.write(folder / f"{number}.png", 20, 20)
    geometry = dataclasses.replace(GEOMETRY, minimum=50)
    with pytest.raises(DataError, match="no images detected in dataset") as caught:
        scanned_of(folder, heard, geometry=geometry)
    message = str(caught.value)
    assert "3 picture files found, 3 dropped, 0 usable" in message
    assert "3 x below minimum_image_size 50 (pixel_area)" in message
    assert "such as 0.png: " in message
    assert "20x20, 400 pixels of the 2500 needed" in message


def test_the_commonest_reason_is_what_is_cured(folder: Path, pictures: Any, heard: Any) -> None:
    (folder / "a.heic").write_bytes(b"x")
    for number in range(2):
        pictures.write(folder / f"{number}.png", 20, 20)
    with pytest.raises(DataError, match=r"such as 0\.png: below") as caught:
        scanned_of(folder, heard, geometry=dataclasses.replace(GEOMETRY, minimum=50))
    assert "lower minimum_image_size" in str(caught.value.cure)


def test_a_huge_caption_file_is_refused_without_reading_it_whole(folder: Path, pictures: Any, heard: Any) -> None:
    pictures.write(folder / "a.png", 64, 64)
    pictures.write(folder / "b.png", 64, 64)
    (folder / "a.txt").write_text("words")
    with (folder / "b.txt").open("wb") as stream:
        stream.truncate(3 << 30)
    scanned = scanned_of(folder, heard, captions=CaptionSpec("textfile"))
    assert "larger than 1 MiB" in reasons(scanned)["b.png"]


def test_a_file_that_could_not_be_had_is_tried_again(folder: Path, pictures: Any, heard: Any) -> None:
    for name in ("a", "b"):
        pictures.write(folder / f"{name}.png", 64, 64)
    scanned = scanned_of(Failing(folder), heard)
    assert "cannot be read (Permission denied)" in reasons(scanned)["b.png"]
    assert list(scanned_of(folder, heard).table.paths) == ["a.png", "b.png"]


def test_sizes_of_a_table_hold_for_one_scan(folder: Path, pictures: Any, heard: Any) -> None:
    pictures.write(folder / "a.png", 640, 480)

    def size(told: Size | None) -> tuple[int, int]:
        table = scanned_of(Counting(folder, {"a.png": Facts(size=told)} if told else None), heard).table
        return int(table.widths[0]), int(table.heights[0])

    assert size(Size(320, 240)) == (320, 240)
    assert size(Size(320, 200)) == (320, 200), "the table was corrected"
    assert size(None) == (640, 480), "the table is gone"
    assert size(Size(320, 240)) == (320, 240)


class Failing(Counting):
    """A folder of which one file is out of reach."""

    out_of_reach = "b.png"

    def open(self, path: str) -> Any:
        if path == self.out_of_reach:
            raise PermissionError(13, "Permission denied")
        return super().open(path)

    def read(self, path: str) -> bytes:
        if path == self.out_of_reach:
            raise UnreachableError("cannot be read (Permission denied)")
        return super().read(path)


def test_a_file_that_could_not_be_had_is_read_under_its_new_name(folder: Path, pictures: Any, heard: Any) -> None:
    for name in ("a", "b"):
        pictures.write(folder / f"{name}.png", 64, 64)
    assert "b.png" in reasons(scanned_of(Failing(folder), heard))
    (folder / "b.png").rename(folder / "z.png")
    assert list(scanned_of(folder, heard).table.paths) == ["a.png", "z.png"]


def test_a_file_that_was_renamed_just_now_is_not_trusted(folder: Path, pictures: Any, heard: Any) -> None:
    pictures.write(folder / "a.png", 64, 64)
    scanned_of(folder, heard)
    (folder / "a.png").rename(folder / "z.png")
    counting = Counting(folder)
    assert scanned_of(counting, heard, later=0.0).changes.renamed
    assert counting.opened == []
    scanned_of(counting, heard)
    assert counting.opened == ["z.png"]


def test_a_caption_that_could_not_be_had_is_not_told_as_missing(folder: Path, pictures: Any, heard: Any) -> None:
    for name in ("a", "b"):
        pictures.write(folder / f"{name}.png", 64, 64)
        (folder / f"{name}.txt").write_text(name)
    text, source = CaptionSpec("textfile"), Failing(folder)
    source.out_of_reach = "b.txt"
    found = reasons(scanned_of(source, heard, captions=text))
    assert found == {"b.png": "its caption file b.txt cannot be read (Permission denied)"}
    assert list(scanned_of(folder, heard, captions=text).table.captions) == [("a",), ("b",)]


def test_a_caption_file_is_found_whatever_the_case_of_its_suffix(folder: Path, pictures: Any, heard: Any) -> None:
    for name in ("a", "b"):
        pictures.write(folder / f"{name}.png", 64, 64)
        (folder / f"{name}.TXT").write_text(f"large {name}")
    (folder / "b.txt").write_text("small b")
    text = CaptionSpec("textfile")
    assert list(scanned_of(folder, heard, captions=text).table.captions) == [("large a",), ("small b",)]
    (folder / "a.TXT").rename(folder / "a.txt")
    assert list(scanned_of(folder, heard, captions=text).table.captions) == [("large a",), ("small b",)]


def test_a_changed_picture_whose_caption_nobody_asks_for(folder: Path, pictures: Any, heard: Any) -> None:
    pictures.write(folder / "a.png", 64, 64)
    (folder / "a.txt").write_text("words")
    scanned_of(folder, heard, captions=CaptionSpec("textfile"))
    pictures.write(folder / "a.png", 32, 64)
    counting = Counting(folder)
    scanned_of(counting, heard)
    assert counting.opened == ["a.png"]


def test_notes_on_captions_reach_the_user(folder: Path, pictures: Any, heard: Any) -> None:
    pictures.write(folder / "a.png", 64, 64)
    assert scanned_of(folder, heard, captions=CaptionSpec(notes=("odd",))).notes == ('data set "set": odd',)


def test_what_decoding_found_damaged_is_left_out_until_it_changes(folder: Path, pictures: Any, heard: Any) -> None:
    for name in ("a", "b"):
        pictures.write(folder / f"{name}.png", 64, 64)
    scanned_of(folder, heard)
    source = FolderSource.at(str(folder))
    with open_index(folder.parent / "cache/index.sqlite") as index:
        index.learn_damage({"b.png": (source.version("b.png"), "its pixels are gone", "replace it")})
    counting = Counting(folder, {"b.png": Facts(size=Size(64, 64))})
    assert reasons(scanned_of(counting, heard, crop_style="face")) == {"b.png": "its pixels are gone"}
    assert "b.png" not in counting.opened
    pictures.write(folder / "b.png", 64, 64, shift=9)
    assert len(scanned_of(folder, heard).table) == 2


SHAPES = dataclasses.replace(
    GEOMETRY, crop=True, crop_aspect="random", aspects=tuple(map(WeightedAspect, (0.5, 1.0, 2.0)))
)
MAP = {"1.0": Size(1024, 1024), "2.0": Size(256, 128)}


@pytest.mark.parametrize(
    "options",
    [
        {"geometry": dataclasses.replace(SHAPES, max_upscale=0.2), "known_sizes": MAP},
        {"geometry": dataclasses.replace(SHAPES, minimum_aspect=0.9)},
        {"geometry": SHAPES, "known_sizes": MAP, "maximum_edge": 512},
    ],
)
def test_what_the_scan_keeps_has_a_place_in_every_epoch(
    folder: Path, pictures: Any, heard: Any, options: dict[str, Any]
) -> None:
    """Whatever the id of the data set is: no one draw decides for it."""
    for number in range(8):
        pictures.write(folder / f"{number}.png", 200 + number, 300)
    for name in ("set", "other", "third"):
        table = scanned_of(folder, heard, id=name, **options).table
        assert len(table) == 8
        for epoch in range(4):
            made = arrange(table, ArrangeSpec(**options), seed=1, epoch=epoch)
            assert sum(made.counts.values()) == 8
            assert max(max(size.width, size.height) for size in made.targets) <= 512


def test_the_map_decides_what_is_too_small_and_what_is_too_large(folder: Path, pictures: Any, heard: Any) -> None:
    pictures.write(folder / "small.png", 96, 96)
    pictures.write(folder / "wide.png", 200, 100)
    pictures.write(folder / "tall.png", 60, 120)
    geometry = dataclasses.replace(GEOMETRY, max_upscale=0.3)
    sizes = {"1.0": Size(256, 256), "2.0": Size(2048, 16)}
    found = reasons(scanned_of(folder, heard, geometry=geometry, known_sizes=sizes, maximum_edge=512))
    assert "would be enlarged to 256x256" in found.pop("small.png")
    assert "would be trained at 2048x16" in found.pop("wide.png")
    assert found == {}


def test_a_text_whose_name_only_looks_the_same_is_the_captions(folder: Path, pictures: Any, heard: Any) -> None:
    pictures.write(folder / "cafe\u0301.png", 64, 64)
    (folder / "caf\u00e9.txt").write_text("coffee")
    scanned = scanned_of(folder, heard, captions=CaptionSpec("textfile"))
    assert (list(scanned.table.captions), scanned.dropped) == ([("coffee",)], ())
    (folder / "cafe\u0301.txt").write_text("to the letter")
    assert scanned_of(folder, heard, captions=CaptionSpec("textfile")).table.captions[0] == ("to the letter",)


def test_pictures_that_the_table_leaves_out_are_warned_of(folder: Path, pictures: Any, heard: Any) -> None:
    for name in ("a.png", "b_c.png"):
        pictures.write(folder / name, 64, 64)
    (folder / "raw").write_bytes(b"x")
    spec = CaptionSpec("table", fallback_to_filename=True)
    scanned = scanned_of(Counting(folder, {"a.png": Facts(("told",))}), heard, captions=spec)
    assert list(scanned.table.captions) == [("told",), ("b c",)]
    assert scanned.uncaptioned == ("b_c.png",)
    (warning,), (note,) = scanned.warnings, scanned.notes
    assert warning.startswith('data set "set": the table has no caption for 1 of 2 pictures')
    assert note.startswith('data set "set": 1 other files passed over: no suffix (1)')


def test_a_folder_of_other_files_alone_says_so(folder: Path, heard: Any) -> None:
    (folder / "tw.jpg_large").write_bytes(b"x")
    with pytest.raises(DataError, match=r"1 other files passed over: \.jpg_large \(1\)"):
        scanned_of(folder, heard)


@pytest.mark.parametrize("suffix", ["mpo", "dib", "pjpeg"])
def test_other_names_of_formats_that_are_read(folder: Path, pictures: Any, heard: Any, suffix: str) -> None:
    pictures.write(folder / "a.png", 64, 48)
    with Image.open(folder / "a.png") as picture:
        kind = {"mpo": "MPO", "dib": "BMP", "pjpeg": "JPEG"}[suffix]
        more = {"save_all": True, "append_images": [picture.copy()]} if kind == "MPO" else {}
        picture.save(folder / f"b.{suffix}", kind, **more)
    scanned = scanned_of(folder, heard)
    assert (list(scanned.table.paths), scanned.dropped) == (["a.png", f"b.{suffix}"], ())
