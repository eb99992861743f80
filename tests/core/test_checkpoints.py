"""A checkpoint counts only when it verifies, and nothing is removed on the strength of one that does not."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from random import Random
from uuid import uuid4

import pytest

from simpletuner.core.checkpoints import (
    BEST,
    Checkpoint,
    checkpoint_name,
    damage_of,
    list_checkpoints,
    newest_verified,
    problem_with,
    saved_step,
    sealed,
    strays,
    sweep,
    written_best,
    written_checkpoint,
    written_result,
)
from simpletuner.core.errors import DataError
from simpletuner.core.files import files_below


def write(output_dir: Path, step: int, *, is_rolling: bool = False) -> Path:
    with written_checkpoint(output_dir, step, is_rolling=is_rolling) as folder:
        (folder / "weights.bin").write_bytes(bytes([step % 256]) * 100)
        (folder / "ema").mkdir()
        (folder / "ema" / "average.bin").write_bytes(b"average")
    return output_dir / checkpoint_name(step, is_rolling=is_rolling)


def names(checkpoints: tuple[Checkpoint, ...]) -> list[str]:
    return [checkpoint.path.name for checkpoint in checkpoints]


def test_order_is_by_number_and_other_names_do_not_count(tmp_path: Path) -> None:
    for step in (500, 1000, 90):
        write(tmp_path, step)
    (tmp_path / "checkpoint-best").mkdir()
    (tmp_path / "checkpoint-7-tmp").mkdir()
    (tmp_path / "checkpoint-007").mkdir()
    (tmp_path / "checkpoint-8").touch()
    (tmp_path / "checkpoint-9").symlink_to(tmp_path / "checkpoint-90")
    (tmp_path / "checkpoint-٣").mkdir()
    assert names(list_checkpoints(tmp_path)) == ["checkpoint-90", "checkpoint-500", "checkpoint-1000"]
    assert [path.name for path in strays(tmp_path)] == [
        "checkpoint-007",
        "checkpoint-7-tmp",
        "checkpoint-8",
        "checkpoint-9",
        "checkpoint-best",
        "checkpoint-٣",
    ]


def test_the_best_one_takes_the_place_of_the_one_before_and_is_no_candidate(tmp_path: Path) -> None:
    for step in (4, 9):
        with written_best(tmp_path, step) as folder:
            (folder / "weights.bin").write_bytes(bytes([step]))
    assert [path.name for path in tmp_path.iterdir()] == [BEST]
    assert problem_with(tmp_path / BEST) is None
    assert saved_step(tmp_path / BEST) == 9
    assert (tmp_path / BEST / "weights.bin").read_bytes() == bytes([9])
    assert list_checkpoints(tmp_path) == ()
    assert newest_verified(tmp_path, lambda _checkpoint, _problem: None) is None
    with pytest.raises(RuntimeError, match="disk"), written_best(tmp_path, 11):
        raise RuntimeError("disk")
    assert saved_step(tmp_path / BEST) == 9


def test_of_two_of_one_step_the_ordinary_one_is_newer(tmp_path: Path) -> None:
    for step, is_rolling in ((5, True), (5, False), (4, False), (6, True)):
        write(tmp_path, step, is_rolling=is_rolling)
    found = list_checkpoints(tmp_path)
    assert names(found) == ["checkpoint-4", "checkpoint-5-rolling", "checkpoint-5", "checkpoint-6-rolling"]
    assert [checkpoint.is_rolling for checkpoint in found] == [False, True, False, True]


def test_an_error_while_writing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="disk"), written_checkpoint(tmp_path, 3) as folder:
        (folder / "half.bin").write_bytes(b"x")
        raise RuntimeError("disk")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "manifest"])
def test_any_damage_is_found(tmp_path: Path, damage: str) -> None:
    path = write(tmp_path, 5)
    assert problem_with(path) is None
    file = path / "weights.bin"
    match damage:
        case "flip":
            content = bytearray(file.read_bytes())
            content[50] ^= 1
            file.write_bytes(content)
        case "cut":
            file.write_bytes(file.read_bytes()[:-1])
        case "remove":
            file.unlink()
        case _:
            (path / "manifest.json").write_text("{")
    assert problem_with(path) is not None


@pytest.mark.parametrize(
    ("manifest", "told"),
    [
        ({"version": 1, "step": 5, "files": {}}, "it names no file"),
        ({"version": 1, "step": 5, "files": {"../x": "0"}}, "names a file outside: ../x"),
        ({"version": 1, "step": 5, "files": {"/etc/passwd": "0"}}, "names a file outside: /etc/passwd"),
        ({"version": 2, "step": 5, "files": {"weights.bin": "0"}}, "its version is 2, and this program reads 1"),
        ({"version": 1, "step": 5, "files": ["weights.bin"]}, "its manifest cannot be read"),
        ({"version": 1, "step": 5, "files": {"weights.bin": 7}}, "does not match its checksum"),
        ({"step": 5}, "its manifest cannot be read"),
    ],
)
def test_a_manifest_that_is_none_of_ours_is_told(tmp_path: Path, manifest: dict[str, object], told: str) -> None:
    path = write(tmp_path, 5)
    (path / "manifest.json").write_text(json.dumps(sealed(manifest)))
    assert told in str(problem_with(path))


@pytest.mark.parametrize("text", ["", "[" * 100_000, "\udcff", "{", "[]", "null", '{"version": 1}'])
def test_a_manifest_that_is_no_json_is_told(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, 5)
    (path / "manifest.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert "its manifest cannot be read" in str(problem_with(path))


@pytest.mark.parametrize("kind", ["flip", "cut"])
def test_no_flipped_bit_and_no_cut_goes_unseen(tmp_path: Path, kind: str) -> None:
    """500 places of each kind over all files, the manifest among them."""
    path = write(tmp_path, 5)
    whole = {file: file.read_bytes() for file in files_below(path)}
    random = Random(0)
    for _ in range(500):
        file = random.choice(sorted(whole))
        content = bytearray(whole[file])
        place = random.randrange(len(content))
        if kind == "cut":
            del content[place:]
        else:
            content[place] ^= 1 << random.randrange(8)
        file.write_bytes(content)
        # The line break after the manifest says nothing.
        harmless = content.rstrip() == whole[file].rstrip() and file.name == "manifest.json"
        assert harmless or problem_with(path) is not None, f"{kind} at {place} of {file.name}"
        file.write_bytes(whole[file])
    assert problem_with(path) is None


def test_files_beside_those_of_the_manifest_are_nobodys_business(tmp_path: Path) -> None:
    path = write(tmp_path, 5)
    (path / "notes.txt").write_text("the good one")
    assert problem_with(path) is None


def test_what_cannot_be_read_is_not_called_damaged(tmp_path: Path) -> None:
    path = write(tmp_path, 5)
    (path / "manifest.json").unlink()
    (path / "manifest.json").symlink_to(path / "manifest.json")
    with pytest.raises(OSError, match="symbolic links"):
        damage_of(path)
    assert "it cannot be read" in str(problem_with(path))


def test_a_step_is_saved_again_over_itself(tmp_path: Path) -> None:
    write(tmp_path, 5)
    with written_checkpoint(tmp_path, 5) as folder:
        (folder / "other.bin").write_bytes(b"again")
    assert problem_with(tmp_path / "checkpoint-5") is None
    assert not (tmp_path / "checkpoint-5" / "weights.bin").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-5"]


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_lies_where_a_checkpoint_should_is_moved_aside(tmp_path: Path, kind: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    if kind == "file":
        (tmp_path / "checkpoint-5").write_text("mine")
    else:
        (tmp_path / "checkpoint-5").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "checkpoint-5.aside").touch()
    path = write(tmp_path, 5)
    assert problem_with(path) is None
    aside = tmp_path / "checkpoint-5.aside-2"
    assert aside.is_symlink() if kind == "link" else aside.read_text() == "mine"


def test_a_folder_that_was_taken_away_is_not_made_again(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="deleted or renamed during the run"):
        write(tmp_path / "gone", 5)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_is_named_and_keeps_what_was(tmp_path: Path) -> None:
    path = write(tmp_path, 5)
    with pytest.raises(DataError, match="No space left on device") as caught, written_checkpoint(tmp_path, 5) as folder:
        (folder / "half.bin").touch()
        raise OSError(errno.ENOSPC, "No space left on device", "half.bin")
    assert caught.value.exit_code == 3
    assert problem_with(path) is None
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint-5"]


def test_a_checkpoint_under_another_steps_name_is_skipped(tmp_path: Path) -> None:
    write(tmp_path, 5)
    write(tmp_path, 6).rename(tmp_path / "checkpoint-9")
    told: list[str] = []
    chosen = newest_verified(tmp_path, lambda checkpoint, problem: told.append(problem))
    assert chosen == Checkpoint(5, tmp_path / "checkpoint-5")
    assert told == ["it was saved as step 6, whatever its name says"]


def test_latest_falls_back_to_the_newest_that_verifies_and_says_so(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        write(tmp_path, step)
    (tmp_path / "checkpoint-3" / "weights.bin").unlink()
    told: list[str] = []
    chosen = newest_verified(tmp_path, lambda checkpoint, problem: told.append(f"{checkpoint.step}: {problem}"))
    assert chosen == Checkpoint(2, tmp_path / "checkpoint-2")
    assert told == ["3: weights.bin is missing"]


def test_leftovers_of_a_killed_process_are_swept(tmp_path: Path) -> None:
    write(tmp_path, 1)
    for name in (".checkpoint-2.partial", ".checkpoint-1.replaced", ".checkpoint-0.removed", ".result.partial"):
        (tmp_path / name).mkdir()
    (tmp_path / f".{uuid4().hex}.partial").write_bytes(b"half of report.json")
    (tmp_path / ".mine.partial").write_bytes(b"of somebody else")
    (tmp_path / "validation_images").mkdir()
    (tmp_path / "validation_images" / f".{uuid4().hex}.partial").write_bytes(b"half of a picture")
    sweep(tmp_path)
    assert not list((tmp_path / "validation_images").iterdir())
    (tmp_path / "validation_images").rmdir()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".mine.partial", "checkpoint-1"]


def test_killed_between_the_two_renames_the_old_checkpoint_comes_back(tmp_path: Path) -> None:
    path = write(tmp_path, 1)
    path.rename(tmp_path / ".checkpoint-1.replaced")
    (tmp_path / ".checkpoint-1.partial").mkdir()
    sweep(tmp_path)
    assert problem_with(path) is None
    assert names(list_checkpoints(tmp_path)) == ["checkpoint-1"]


def test_results_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    with written_result(tmp_path) as folder:
        (folder / "adapter").write_bytes(b"first")
    with pytest.raises(RuntimeError, match="disk"), written_result(tmp_path) as folder:
        (folder / "adapter").write_bytes(b"second")
        raise RuntimeError("disk")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("adapter", b"first")]


def test_the_step_is_the_manifests_whatever_the_folder_is_called(tmp_path: Path) -> None:
    path = write(tmp_path, 7)
    path.rename(tmp_path / "my-good-one")
    assert saved_step(tmp_path / "my-good-one") == 7
