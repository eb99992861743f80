from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import fsspec
import pytest

from simpletuner.core.errors import ConfigError
from simpletuner.data.entries import PictureError
from simpletuner.data.sources import FolderSource


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_pictures_are_found_in_every_folder_in_order(tmp_path: Path) -> None:
    touch(tmp_path, "b.PNG", "a.jpg", "deep/er/c.webp", "a.txt", "notes.md", "latent.safetensors", "a.b.jpeg")
    listing = FolderSource.at(str(tmp_path)).listing()
    assert listing.pictures == ("a.b.jpeg", "a.jpg", "b.PNG", "deep/er/c.webp")
    assert {"a.txt", "notes.md"} < listing.files
    assert listing.dropped == ()


def test_hidden_and_housekeeping_names_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, ".a.png", "._b.png", ".cache/c.png", "__MACOSX/d.png", "@eaDir/e.png", "kept.png")
    assert FolderSource.at(str(tmp_path)).listing().pictures == ("kept.png",)


def test_a_hidden_root_is_the_users_choice(tmp_path: Path) -> None:
    touch(tmp_path, ".pictures/a.png")
    assert FolderSource.at(f"{tmp_path}/.pictures/").listing().pictures == ("a.png",)


def test_pictures_of_other_formats_are_reported(tmp_path: Path) -> None:
    touch(tmp_path, "phone.HEIC", "logo.svg", "ok.png")
    listing = FolderSource.at(str(tmp_path)).listing()
    assert [(item.file, item.reason) for item in listing.dropped] == [
        ("logo.svg", ".svg files are not supported"),
        ("phone.HEIC", ".heic files are not supported"),
    ]


def test_links_are_followed_once_and_loops_end(tmp_path: Path) -> None:
    touch(tmp_path, "set/z/a.png", "outside/b.png")
    (tmp_path / "set/loop").symlink_to(tmp_path / "set")
    (tmp_path / "set/z/self").symlink_to("self")
    (tmp_path / "set/again").symlink_to(tmp_path / "set/z")
    (tmp_path / "set/out").symlink_to(tmp_path / "outside")
    (tmp_path / "set/c.png").symlink_to(tmp_path / "outside/b.png")
    listing = FolderSource.at(str(tmp_path / "set")).listing()
    assert listing.pictures == ("c.png", "out/b.png", "z/a.png")


def test_what_is_no_regular_file_is_reported_without_being_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "folder.png").mkdir()
    listing = FolderSource.at(str(tmp_path)).listing()
    assert listing.pictures == ()
    assert {item.file: item.reason for item in listing.dropped} == {
        "gone.png": "not a regular file (broken link)",
        "pipe.png": "not a regular file (other)",
    }


def test_names_of_every_kind(tmp_path: Path) -> None:
    names = [
        "赤い_車.png",
        "é.png",
        "e\u0301.png",
        "two\nlines.png",
        "🙂.png",
        "مرحبا.png",
        "A.png",
        "a.png",
        "#?%.png",
    ]
    names.append("n" * 251 + ".png")
    touch(tmp_path, *names)
    source = FolderSource.at(str(tmp_path))
    assert source.listing().pictures == tuple(sorted(names))
    assert all(source.read(name) == b"x" for name in names)


def test_a_name_that_is_no_text_is_reported(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.png")).write_bytes(b"x")
    (dropped,) = FolderSource.at(str(tmp_path)).listing().dropped
    assert "UTF-8" in dropped.reason
    assert dropped.file.encode()


def test_a_missing_folder_is_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="instance_data_dir"):
        FolderSource.at(str(tmp_path / "nowhere"))


def test_a_file_that_vanished_is_a_picture_error(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="cannot be read"):
        FolderSource.at(str(tmp_path)).read("gone.png")


def test_the_version_changes_when_a_file_is_replaced_and_its_date_put_back(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    source = FolderSource.at(str(tmp_path))
    before = source.version("a.png")
    assert source.version("a.png") == before
    date = (tmp_path / "a.png").stat()
    (tmp_path / "a.png").write_bytes(b"y")
    os.utime(tmp_path / "a.png", ns=(date.st_atime_ns, date.st_mtime_ns))
    assert source.version("a.png") != before


def test_a_filesystem_that_is_not_local() -> None:
    memory: Any = fsspec.filesystem("memory")
    memory.pipe("/set/sub/a.png", b"one")
    memory.pipe("/set/b.png", b"two")
    source = FolderSource.at("memory://set")
    assert source.listing().pictures == ("b.png", "sub/a.png")
    assert source.read("sub/a.png") == b"one"
    assert source.changed_at("b.png") is None
    before = source.version("b.png")
    memory.pipe("/set/b.png", b"three")
    assert source.version("b.png") != before
    memory.rm("/set", recursive=True)


def test_a_folder_removed_in_mid_walk_is_reported(tmp_path: Path) -> None:
    touch(tmp_path, "sub/a.png", "b.png")
    source = FolderSource.at(str(tmp_path))

    class Vanishing:
        def __getattr__(self, name: str) -> Any:
            return getattr(source.filesystem, name)

        def ls(self, path: str, **options: Any) -> Any:
            if path.endswith("sub"):
                shutil.rmtree(path)
            return source.filesystem.ls(path, **options)

    listing = FolderSource(Vanishing(), source.root).listing()
    assert listing.pictures == ("b.png",)
    assert [item.file for item in listing.dropped] == ["sub"]
