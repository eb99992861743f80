"""SwanLab itself, offline, in its process; what it wrote is read as bytes."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.observe.trackers.conftest import Tell, require_package


def test_numbers_curves_and_pictures_are_kept(tell: Tell, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    require_package("swanlab")
    with caplog.at_level(logging.WARNING):
        tell("swanlab")
    assert caplog.text == ""
    (folder,) = (tmp_path / "swanlab").glob("run-*")
    (file,) = folder.glob("*.swanlab")
    content = file.read_bytes()
    for expected in (b"my-project", b"my run", b"train_loss", b"grad_norm", b"cat - 64x48", b"chart/loss/val/held"):
        assert expected in content, expected
    assert b"nothing" not in content
    assert list(folder.glob("media/image/*.png"))
    assert "rank" in (folder / "files" / "config.yaml").read_text()
