from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import pytest
from PIL import Image
from werkzeug.formparser import parse_form_data

from simpletuner.observe.webhook.body import Body, body_of, png
from simpletuner.observe.webhook.message import Message, Pixels

RED = Pixels(8, 4, b"\xff\x00\x00" * 32)


def picture(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def test_json_with_pictures(tmp_path: Path) -> None:
    Image.new("RGB", (5, 6), "blue").save(tmp_path / "blue.webp")
    body = body_of(Message({"body": 'a "cat"\n狐'}, drawings=(RED, tmp_path / "blue.webp")), "raw")
    told = json.loads(body.content)
    assert told["body"] == 'a "cat"\n狐'
    red, blue = (picture(base64.b64decode(text)) for text in told["images"])
    assert (red.format, red.size, red.getpixel((0, 0))) == ("PNG", (8, 4), (255, 0, 0))
    assert (blue.format, blue.size) == ("PNG", (5, 6))
    assert body.content_type == "application/json"


def test_json_without_pictures_has_no_list_of_them() -> None:
    assert json.loads(body_of(Message({"a": 1}), "raw").content) == {"a": 1}


def test_half_a_letter_of_a_broken_prompt_is_still_sent() -> None:
    assert json.loads(body_of(Message({"body": "a\ud83d"}), "raw").content) == {"body": "a?"}


def test_a_form_with_files(tmp_path: Path) -> None:
    Image.new("RGB", (5, 6)).save(tmp_path / "a.png")
    body = body_of(Message({"content": "(`p`) 狐"}, drawings=(RED, tmp_path / "a.png")), "discord")
    environ = {
        "wsgi.input": io.BytesIO(body.content),
        "CONTENT_TYPE": body.content_type,
        "CONTENT_LENGTH": str(len(body.content)),
        "REQUEST_METHOD": "POST",
    }
    _, form, files = parse_form_data(environ)
    assert form["content"] == "(`p`) 狐"
    assert [(name, file.filename, file.mimetype) for name, file in files.items()] == [
        ("file0", "image0.png", "image/png"),
        ("file1", "image1.png", "image/png"),
    ]
    assert files["file1"].read() == (tmp_path / "a.png").read_bytes()
    for file in files.values():
        file.close()


def test_a_png_is_sent_as_it_lies_on_the_disk(tmp_path: Path) -> None:
    Image.new("RGB", (5, 6)).save(tmp_path / "a.png")
    assert png(tmp_path / "a.png") == (tmp_path / "a.png").read_bytes()


def test_a_picture_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    drawings = (tmp_path / "gone.png", tmp_path / "broken.jpg", Pixels(9, 9, b"short"), RED)
    assert len(json.loads(body_of(Message({}, drawings=drawings), "raw").content)["images"]) == 1
    with pytest.raises(OSError, match="gone"):
        png(tmp_path / "gone.png")


def test_a_body_shows_no_content() -> None:
    assert "canary" not in repr(Body(b"canary", "text/plain"))
