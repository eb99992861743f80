from __future__ import annotations

from pathlib import Path

from simpletuner.data.files.versions import bare, file_version, identity, is_settled, unsettled


def test_a_version_changes_with_content_and_with_replacement(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one")
    first = file_version(path.stat())
    path.write_text("four")
    second = file_version(path.stat())
    (tmp_path / "new.txt").write_text("four")
    (tmp_path / "new.txt").replace(path)
    assert len({first, second, file_version(path.stat())}) == 3


def test_a_rename_keeps_the_identity(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one")
    before = identity(file_version(path.stat()))
    moved = path.rename(tmp_path / "b.txt")
    assert before == identity(file_version(moved.stat())) != ""
    assert identity("etag-17") == ""


def test_a_file_touched_just_now_is_not_settled(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one")
    fact = path.stat()
    assert not is_settled(file_version(fact), fact.st_ctime + 1)
    assert is_settled(file_version(fact), fact.st_ctime + 3)
    assert is_settled("etag-17", 0.0)


def test_an_unsettled_version_equals_none_and_can_be_read_back() -> None:
    assert unsettled("1-2-3-4") != "1-2-3-4" == bare(unsettled("1-2-3-4")) == bare("1-2-3-4")
