from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from simpletuner.data.captions.report import Yardstick
from simpletuner.data.entries import Dropped
from simpletuner.data.files.table import PictureTable
from simpletuner.data.places.arrange import Arrangement, ArrangeSpec, arrange
from simpletuner.data.places.geometry import GeometrySpec
from simpletuner.data.report.contact import MOST, SheetPart, chosen_rows, write_sheet
from simpletuner.data.report.report import DatasetReport, Report
from simpletuner.data.sources.folder import FolderSource

EVIL = '<script>alert("x")</script><img src=http://evil onerror=alert(1)> & \u202e"\'\0'


class Tags(HTMLParser):
    """Every tag with its attributes, and all text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


class Sheet:
    """A folder of pictures and the page that is made of it."""

    def __init__(self, folder: Path, heard: Any) -> None:
        self.folder = folder
        self.heard = heard
        self.sizes: dict[str, tuple[int, int]] = {}
        self.captions: dict[str, tuple[str, ...]] = {}

    def add(self, name: str, size: tuple[int, int], *captions: str) -> None:
        self.folder.mkdir(exist_ok=True)
        rows, columns = np.mgrid[0 : size[1], 0 : size[0]]
        pixels = np.stack([columns % 256, rows % 256, (rows + columns) % 256], axis=-1).astype(np.uint8)
        Image.fromarray(pixels).save(self.folder / name)
        self.sizes[name], self.captions[name] = size, captions or ("a picture",)

    def arranged(self, **options: Any) -> Arrangement:
        paths = sorted(self.sizes)
        widths, heights = (np.int32([self.sizes[path][axis] for path in paths]) for axis in (0, 1))
        table = PictureTable("set", paths, widths, heights, [self.captions[path] for path in paths])
        spec = ArrangeSpec(GeometrySpec(128, crop=True, alignment=16), **{"crop_style": "center", **options})
        return arrange(table, spec, seed=1, epoch=0)

    def page(self, *, framed: bool = True, dropped: tuple[Dropped, ...] = (), **options: Any) -> str:
        made = self.arranged(**options)
        found = DatasetReport("set", len(self.sizes), len(self.sizes), made.counts, 1, dropped, where=str(self.folder))
        part = SheetPart(found, made, FolderSource.at(str(self.folder)), framed)
        path = self.folder.parent / "pages/sheet.html"
        report = Report((found,), (f"a problem {EVIL}",))
        write_sheet(path, f"run {EVIL}", report, [part], Yardstick(None, 122), self.heard)
        return path.read_text(encoding="utf-8")


@pytest.fixture
def sheet(tmp_path: Path, heard: Any) -> Sheet:
    return Sheet(tmp_path / "set", heard)


def pixels_of(source: str | None) -> Image.Image:
    assert source is not None
    kind, data = source.split(",", 1)
    assert kind == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_each_picture_is_whole_small_and_inline(sheet: Sheet) -> None:
    sheet.add("wide.png", (640, 320), "a wide one", "another caption")
    sheet.add("tiny.png", (40, 60))
    tags = Tags(sheet.page())
    tiny, wide = (pixels_of(image["src"]) for image in tags.named("img"))
    assert (tiny.size, wide.size) == ((40, 60), (160, 80))
    assert [(image["width"], image["height"]) for image in tags.named("img")] == [("40", "60"), ("160", "80")]
    for told in ("wide.png", "a wide one", "and 1 more captions", "640x320 → 128x128", "enlarged 3.2 times", "about "):
        assert told in tags.text, told


def test_the_frame_is_the_window_that_is_trained(sheet: Sheet) -> None:
    sheet.add("wide.png", (640, 320))
    (entry,) = sheet.arranged().entries
    assert (entry.placement.intermediary.width, entry.crop.left) == (256, 64)
    (frame,) = Tags(sheet.page()).named("i")
    assert frame["style"] == "left:25.000%;top:0.000%;width:50.000%;height:100.000%"


@pytest.mark.parametrize("style", ["corner", "random"])
def test_other_windows_lie_elsewhere(sheet: Sheet, style: str) -> None:
    sheet.add("wide.png", (640, 320))
    (entry,) = sheet.arranged(crop_style=style).entries
    (frame,) = Tags(sheet.page(crop_style=style)).named("i")
    assert f"left:{100 * entry.crop.left / 256:.3f}%" in str(frame["style"])


def test_windows_that_move_are_told_and_masks_have_none(sheet: Sheet) -> None:
    sheet.add("a.png", (200, 128))
    assert "it moves in each epoch" in sheet.page(anew=True)
    page = sheet.page(framed=False)
    assert "Each follows the window of its picture" in page
    assert Tags(page).named("i") == []


def test_no_text_becomes_markup(sheet: Sheet) -> None:
    sheet.add("a.png", (128, 128), EVIL)
    page = sheet.page(dropped=(Dropped(EVIL, EVIL, EVIL),))
    tags = Tags(page)
    assert {tag for tag, _ in tags.tags} & {"script", "link", "iframe", "object"} == set()
    assert len(tags.named("img")) == 1
    assert not [name for _, attributes in tags.tags for name in attributes if name.startswith("on")]
    assert tags.text.count('<script>alert("x")</script>') == 7
    assert "\u202e" not in page
    assert "\0" not in page
    assert "default-src 'none'" in page
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?!data:)\w+:""", re.sub(r"&lt;.*?&gt;", "", page))


def test_dropped_files_come_with_reason_and_cure(sheet: Sheet) -> None:
    sheet.add("a.png", (128, 128))
    told = Tags(sheet.page(dropped=(Dropped("bad.png", "it is empty", "replace it"),))).text
    assert "bad.png" in told
    assert "it is empty" in told
    assert "replace it" in told


def test_a_picture_that_went_bad_does_not_end_the_page(sheet: Sheet) -> None:
    sheet.add("a.png", (128, 128))
    sheet.add("b.png", (128, 128))
    (sheet.folder / "a.png").write_bytes(b"")
    page = sheet.page()
    assert len(Tags(page).named("img")) == 1
    assert "the file is empty" in page


def test_of_many_pictures_some_are_chosen_evenly() -> None:
    assert chosen_rows(3) == [0, 1, 2]
    assert chosen_rows(MOST) == list(range(MOST))
    rows = chosen_rows(10_001)
    assert (len(rows), rows[0], rows[-1]) == (MOST, 0, 10_000)
    assert set(np.diff(rows)) == {20, 21}


def test_a_choice_is_said(sheet: Sheet) -> None:
    for number in range(MOST + 1):
        sheet.add(f"{number:03d}.png", (16, 16))
    assert f"501 of 501 pictures are used; {MOST} of them, evenly chosen, are shown here" in sheet.page()
    assert sheet.heard[-1].done == MOST
