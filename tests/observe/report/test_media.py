from __future__ import annotations

import base64
import io
import json
from pathlib import Path

from PIL import Image

from simpletuner.core.events import ImagesRendered, Picture
from simpletuner.observe.report.media import FILE, MediaFile, Shown, Thumbnails, spread


def rendered(folder: Path, step: int, nickname: str = "cat", kind: str = "validation") -> ImagesRendered:
    path = folder / "validation_images" / f"step_{step}_{nickname}.png"
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", (1600, 800), "red").save(path)
    return ImagesRendered(step, kind, (Picture(path, nickname, "猫", 64, 64),))


def test_each_picture_has_a_line_and_a_place_in_its_series(tmp_path: Path) -> None:
    media = MediaFile(tmp_path, 0)
    for event in (rendered(tmp_path, 20), rendered(tmp_path, 0, kind="benchmark"), rendered(tmp_path, 20, "dog")):
        media.add(event)
    lines = [json.loads(line) for line in (tmp_path / FILE).read_text("utf-8").splitlines()]
    assert lines[0] == {
        "step": 20,
        "kind": "validation",
        "nickname": "cat",
        "prompt": "猫",
        "size": "64x64",
        "path": "validation_images/step_20_cat.png",
    }
    assert [[shown.step for shown in each] for each in media.series()] == [[0, 20], [20]]


def test_a_resume_forgets_later_steps_and_a_fresh_run_all(tmp_path: Path) -> None:
    media = MediaFile(tmp_path, 0)
    for step in (10, 20, 30):
        media.add(rendered(tmp_path, step))
    resumed = MediaFile(tmp_path, 20)
    assert [shown.step for shown in resumed.series()[0]] == [10, 20]
    resumed.add(rendered(tmp_path, 20))
    assert [shown.step for shown in resumed.series()[0]] == [10, 20]
    assert MediaFile(tmp_path, 0).series() == []
    assert (tmp_path / FILE).read_bytes() == b""


def test_a_run_without_pictures_has_no_file(tmp_path: Path) -> None:
    MediaFile(tmp_path, 0)
    assert not (tmp_path / FILE).exists()


def test_copies_are_small_and_what_is_damaged_has_none(tmp_path: Path) -> None:
    rendered(tmp_path, 1)
    (tmp_path / "bad.png").write_bytes(b"half")
    thumbnails = Thumbnails(tmp_path)
    uri = thumbnails.of(Shown(1, "validation", "cat", "", "64x64", "validation_images/step_1_cat.png"))
    kind, _, content = uri.partition(",")
    assert kind == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as image:
        assert image.size == (720, 360)
    assert thumbnails.of(Shown(1, "validation", "cat", "", "", "bad.png")) == ""
    assert thumbnails.of(Shown(1, "validation", "cat", "", "", "gone.png")) == ""


def test_of_many_the_first_and_the_last_are_among_those_shown() -> None:
    many = [Shown(step, "validation", "cat", "", "", "") for step in range(100)]
    shown = [one.step for one in spread(many, 8)]
    assert (len(shown), shown[0], shown[-1]) == (8, 0, 99)
    assert spread(many[:3], 8) == many[:3]
