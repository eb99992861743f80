from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import fsspec
import pytest

from simpletuner.core.errors import ConfigError
from simpletuner.data.entries import PictureError
from simpletuner.data.sources.folder import FolderSource


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_pictures_are_found_in_every_folder_in_order(tmp_path: Path) -> None:
    touch(tmp_path, "b.PNG", "a.jpg", "deep/er/c.webp", "a.txt", "notes.md", "latent.safetensors", "a.b.jpeg")
    listing = FolderSource.at(str(tmp_path)).listing()
    assert list(listing.pictures) == ["a.b.jpeg", "a.jpg", "b.PNG", "deep/er/c.webp"]
    assert list(listing.texts) == ["a.txt"]
    assert listing.dropped == ()


def test_a_hidden_root_is_the_users_choice(tmp_path: Path) -> None:
    touch(tmp_path, ".pictures/a.png")
    assert FolderSource.at(f"{tmp_path}/.pictures/").listing().pictures.keys() == {"a.png"}


def test_pictures_of_other_formats_are_reported(tmp_path: Path) -> None:
    touch(tmp_path, "phone.HEIC", "logo.svg", "ok.png")
    listing = FolderSource.at(str(tmp_path)).listing()
    assert [(item.file, item.reason) for item in listing.dropped] == [
        ("logo.svg", ".svg files are not supported"),
        ("phone.HEIC", ".heic files are not supported"),
    ]


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
    assert list(source.listing().pictures) == sorted(names)
    assert all(source.read(name) == b"x" for name in names)


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
    assert list(source.listing().pictures) == ["b.png", "sub/a.png"]
    assert source.where == "memory:///set"
    assert source.read("sub/a.png") == b"one"
    before = source.version("b.png")
    assert source.listing().pictures["b.png"] == before != ""
    assert source.renamed_from(before) == ""
    memory.pipe("/set/b.png", b"three")
    assert source.version("b.png") != before
    assert source.version("gone.png") == ""
    memory.rm("/set", recursive=True)


def test_the_version_of_a_listing_is_the_files_own_and_survives_a_rename_in_part(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "a.txt")
    source = FolderSource.at(str(tmp_path))
    listing = source.listing()
    assert listing.pictures["a.png"] == source.version("a.png") != ""
    assert listing.texts["a.txt"] == source.version("a.txt")
    (tmp_path / "a.png").rename(tmp_path / "b.png")
    renamed = source.listing().pictures["b.png"]
    assert source.renamed_from(renamed) == source.renamed_from(listing.pictures["a.png"]) != ""
    assert source.version("a.png") == ""
    assert source.where == str(tmp_path)


def test_another_filesystem_counts_what_it_passes_over() -> None:
    memory = fsspec.filesystem("memory")
    for name in ("a.png", "b.jpg_large", ".hidden/c.bin", "notes.md"):
        memory.pipe(f"/passed-over/{name}", b"x")
    (note,) = FolderSource.at("memory://passed-over").listing().notes
    assert note.startswith("1 other files passed over: .jpg_large (1);")
