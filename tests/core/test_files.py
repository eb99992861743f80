"""Files and folders are visible whole or not at all."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from simpletuner.core.files import commit_folder, commit_into, files_below, sha256, write_bytes, write_json


def test_writing_replaces_and_leaves_no_neighbour(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.bin"
    write_bytes(path, b"old")
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_keeps_the_old_file_and_cleans_up(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_json(path, {"kept": True})
    with pytest.raises(TypeError):
        write_json(path, {"lost": object()})
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        write_bytes(tmp_path / "taken", b"x")
    assert path.read_text() == '{\n  "kept": true\n}\n'
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file.json", "taken"]


def test_threads_may_write_into_folders_that_none_has_made(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number % 4}" / "deep" / f"{number}" for number in range(64)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda path: write_bytes(path, path.name.encode(), durable=False), paths))
    assert sorted(files_below(tmp_path)) == sorted(paths)
    assert all(path.read_bytes() == path.name.encode() for path in paths)


def test_sha256_is_the_standard_one(tmp_path: Path) -> None:
    content = bytes(range(256)) * 9000
    write_bytes(tmp_path / "f", content, durable=False)
    assert sha256(tmp_path / "f") == hashlib.sha256(content).hexdigest()


def test_a_folder_replaces_one_of_its_name(tmp_path: Path) -> None:
    final = tmp_path / "checkpoint-1"
    for number in (1, 2):
        partial = tmp_path / ".partial"
        (partial / "ema").mkdir(parents=True)
        (partial / "ema" / f"{number}.bin").write_bytes(b"x")
        commit_folder(partial, final)
    assert [path.name for path in files_below(final)] == ["2.bin"]
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-1"]


def test_results_move_in_whole_beside_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("kept")
    (tmp_path / "adapter.bin").write_bytes(b"old")
    partial = tmp_path / ".partial"
    (partial / "ema").mkdir(parents=True)
    (partial / "adapter.bin").write_bytes(b"new")
    (partial / "ema" / "adapter.bin").write_bytes(b"average")
    commit_into(partial, tmp_path)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path)) == [
        "adapter.bin",
        "ema/adapter.bin",
        "kept.txt",
    ]
    assert (tmp_path / "adapter.bin").read_bytes() == b"new"
