from __future__ import annotations

import os
import shutil
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from simpletuner.data.sources.walk import walk


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_hidden_and_housekeeping_names_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, ".a.png", "._b.png", ".cache/c.png", "__MACOSX/d.png", "@eaDir/e.png", "kept.png")
    assert walk(str(tmp_path)).pictures.keys() == {"kept.png"}


def test_links_are_followed_once_and_loops_end(tmp_path: Path) -> None:
    touch(tmp_path, "set/z/a.png", "outside/b.png", "outside/cap.txt", "plain")
    (tmp_path / "set/loop").symlink_to(tmp_path / "set")
    (tmp_path / "set/z/self").symlink_to("self")
    (tmp_path / "set/again").symlink_to(tmp_path / "set/z")
    (tmp_path / "set/out").symlink_to(tmp_path / "outside")
    (tmp_path / "set/c.png").symlink_to(tmp_path / "outside/b.png")
    (tmp_path / "set/folder.png").symlink_to(tmp_path / "outside")
    (tmp_path / "set/plain").symlink_to(tmp_path / "plain")
    listing = walk(str(tmp_path / "set"))
    assert list(listing.pictures) == ["c.png", "folder.png/b.png", "z/a.png"]
    assert list(listing.texts) == ["folder.png/cap.txt"]
    assert listing.dropped == ()
    other, again = listing.notes
    assert other.startswith("2 other files passed over: no suffix (2)"), "a file, and a link to itself"
    assert again == "folders that are reached twice are used once; these links were not followed: again, loop, out"


def test_what_is_no_regular_file_is_reported_without_being_opened(tmp_path: Path, monkeypatch: Any) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "null.png").symlink_to("/dev/null")
    (tmp_path / "round.png").symlink_to("round.png")
    (tmp_path / "folder.png").mkdir()
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.png")
        listing = walk(str(tmp_path))
    assert listing.pictures == listing.texts == {}
    assert {item.file: item.reason for item in listing.dropped} == {
        "gone.png": "not a regular file (broken link)",
        "null.png": "not a regular file (other)",
        "pipe.png": "not a regular file (other)",
        "round.png": "not a regular file (broken link)",
        "socket.png": "not a regular file (other)",
    }


def test_a_name_that_is_no_text_is_reported(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.png")).write_bytes(b"x")
    (dropped,) = walk(str(tmp_path)).dropped
    assert "UTF-8" in dropped.reason
    assert dropped.file.encode()


def test_a_folder_removed_in_mid_walk_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "sub/a.png", "b.png")
    scandir = os.scandir

    def vanishing(path: str | int) -> Any:
        if str(path).endswith("sub"):
            shutil.rmtree(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", vanishing)
    listing = walk(str(tmp_path))
    assert listing.pictures.keys() == {"b.png"}
    assert [(item.file, "cannot be listed" in item.reason) for item in listing.dropped] == [("sub", True)]


def test_thousands_of_files_take_a_moment(tmp_path: Path) -> None:
    for folder in range(10):
        (tmp_path / str(folder)).mkdir()
        for name in range(100):
            os.mknod(tmp_path / f"{folder}/{name}.jpg")
            os.mknod(tmp_path / f"{folder}/{name}.txt")
    start = time.process_time()
    listing = walk(str(tmp_path))
    assert len(listing.pictures) == len(listing.texts) == 1_000
    # Asking the disk twice for each name, as fsspec's listing does, takes several times as long.
    assert time.process_time() - start < 0.1
