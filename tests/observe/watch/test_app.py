"""The page over real http: what it shows, what it takes, and that nothing in it comes from elsewhere."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

from PIL import Image

from simpletuner.observe.watch import app

PAGE = Path(app.__file__).with_name("page.html").read_text("utf-8")


def image() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(stream, "PNG")
    return stream.getvalue()


def validation(**more: Any) -> str:
    images = [base64.b64encode(image()).decode()]
    return json.dumps({"type": "training.validation", "body": "a cat", "images": images, **more})


def test_the_page_has_no_remote_part_and_makes_no_markup_of_text() -> None:
    assert re.findall(r"(?:src|href)\s*=\s*[\"']", PAGE) == []
    assert set(re.findall(r"https?://[^\"'\s]+", PAGE)) == {"http://www.w3.org/2000/svg"}
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert way not in PAGE


def test_its_script_runs_by_a_number_that_changes(page: Any) -> None:
    there = page()
    answers = [there.get("") for _ in range(2)]
    nonces = [re.search(r'script nonce="([^"]+)"', answer.text) for answer in answers]
    assert all(nonce and f"'nonce-{nonce[1]}'" in answer.headers["content-security-policy"]
               for nonce, answer in zip(nonces, answers, strict=True))  # fmt: skip
    assert answers[0].text != answers[1].text


def test_what_a_webhook_tells_is_shown(page: Any) -> None:
    there = page()
    assert there.post(validation(data={"nickname": "cat", "global_step": 5})).status_code == 204
    shown = there.get("state").json()
    (picture,) = shown["pictures"]
    assert picture["caption"] == "step 5 · cat · a cat"
    answer = there.get(f"picture/{picture['name']}")
    assert (answer.content, answer.headers["content-type"]) == (image(), "image/png")


def test_a_finished_run_is_shown(page: Any, tmp_path: Path) -> None:
    (tmp_path / "validation_images").mkdir()
    name = "step_5_狐 #1?_0_4x4.png"
    (tmp_path / "validation_images" / name).write_bytes(image())
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "train_loss": 0.5, "linear_reference": 0.4}\n')
    there = page(tmp_path)
    shown = there.get("state").json()
    assert shown["points"] == [{"step": 1, "train_loss": 0.5, "linear_reference": 0.4}]
    assert shown["files"] == ["metrics.jsonl"]
    (picture,) = shown["pictures"]
    assert there.get(f"picture/validation_images/{name.replace('#', '%23').replace('?', '%3F')}").content == image()
    assert picture["name"] == f"validation_images/{name}"
    assert there.get("picture/metrics.jsonl").text.startswith('{"step": 1')


def test_no_other_file_is_served(page: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "secret.png").write_bytes(image())
    (out / "config.json").write_text("{}")
    there = page(out)
    for path in (
        "../secret.png",
        "%2e%2e/secret.png",
        "..%2fsecret.png",
        "config.json",
        "/etc/passwd",
        "%2fetc%2fpasswd",
    ):
        assert there.get(f"picture/{path}").status_code == 404, path


def test_a_message_that_is_none_is_refused(page: Any) -> None:
    there = page()
    assert there.post("no json").status_code == 400
    assert there.post("[1]").status_code == 400
    assert there.post(b"\xff\xfe").status_code == 400
    assert there.post("[" * 100_000).status_code == 400
    assert there.get("webhook").status_code == 405


def test_a_message_that_is_too_large_is_refused(page: Any) -> None:
    there = page()
    assert there.post(b" " * ((64 << 20) + 1)).status_code == 413
    assert there.post(b"{}" + b" " * 1000).status_code == 204
