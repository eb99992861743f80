from __future__ import annotations

from pathlib import Path

import pytest

from simpletuner.assemble.data.cache_run import path_inside


def test_a_path_inside_a_folder_however_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = tmp_path / "pictures"
    (pictures / "deep").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "way").symlink_to(pictures)
    monkeypatch.chdir(tmp_path / "other")
    for file in ("../pictures/deep/a.png", "../way/deep/a.png", str(pictures / "deep/../deep/a.png"), "deep/a.png"):
        for where in ("../pictures", str(pictures), str(tmp_path / "way"), "../other/../way"):
            assert path_inside(where, Path(file)) == "deep/a.png"


def test_a_link_inside_a_folder_stands_for_itself(tmp_path: Path) -> None:
    (tmp_path / "pictures/deep").mkdir(parents=True)
    (tmp_path / "pictures/link.png").symlink_to(tmp_path / "pictures/deep/a.png")
    assert path_inside(str(tmp_path / "pictures"), tmp_path / "pictures/link.png") == "link.png"


def test_what_is_outside_is_left_as_written() -> None:
    assert path_inside("pictures", Path("elsewhere/a.png")) == "elsewhere/a.png"
    assert path_inside("s3://bucket/pictures", Path("deep/a.png")) == "deep/a.png"
