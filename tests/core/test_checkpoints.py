"""A checkpoint counts only when it verifies, and nothing is removed on the strength of one that does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from simpletuner.core.checkpoints import (
    Checkpoint,
    list_checkpoints,
    newest_verified,
    problem_with,
    prune,
    saved_step,
    sweep,
    written_checkpoint,
    written_result,
)


def write(output_dir: Path, step: int) -> Path:
    with written_checkpoint(output_dir, step) as folder:
        (folder / "weights.bin").write_bytes(bytes([step % 256]) * 100)
        (folder / "ema").mkdir()
        (folder / "ema" / "average.bin").write_bytes(b"average")
    return output_dir / f"checkpoint-{step}"


def names(checkpoints: tuple[Checkpoint, ...]) -> list[str]:
    return [checkpoint.path.name for checkpoint in checkpoints]


def test_order_is_by_number_and_other_names_do_not_count(tmp_path: Path) -> None:
    for step in (500, 1000, 90):
        write(tmp_path, step)
    (tmp_path / "checkpoint-best").mkdir()
    (tmp_path / "checkpoint-7-tmp").mkdir()
    (tmp_path / "checkpoint-8").touch()
    assert names(list_checkpoints(tmp_path)) == ["checkpoint-90", "checkpoint-500", "checkpoint-1000"]


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


def test_latest_falls_back_to_the_newest_that_verifies_and_says_so(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        write(tmp_path, step)
    (tmp_path / "checkpoint-3" / "weights.bin").unlink()
    told: list[str] = []
    chosen = newest_verified(tmp_path, lambda checkpoint, problem: told.append(f"{checkpoint.step}: {problem}"))
    assert chosen == Checkpoint(2, tmp_path / "checkpoint-2")
    assert told == ["3: weights.bin is missing"]


def test_pruning_keeps_the_newest(tmp_path: Path) -> None:
    for step in range(1, 7):
        write(tmp_path, step)
    assert names(prune(tmp_path, 2)) == ["checkpoint-1", "checkpoint-2", "checkpoint-3", "checkpoint-4"]
    assert names(list_checkpoints(tmp_path)) == ["checkpoint-5", "checkpoint-6"]


@pytest.mark.parametrize("limit", [None, 0, -1])
def test_no_limit_removes_nothing(tmp_path: Path, limit: int | None) -> None:
    for step in (1, 2, 3):
        write(tmp_path, step)
    assert prune(tmp_path, limit) == ()
    assert len(list_checkpoints(tmp_path)) == 3


def test_a_damaged_newest_one_stops_pruning(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        write(tmp_path, step)
    (tmp_path / "checkpoint-3" / "weights.bin").write_bytes(b"")
    assert prune(tmp_path, 1) == ()


def test_leftovers_of_a_killed_process_are_swept(tmp_path: Path) -> None:
    write(tmp_path, 1)
    for name in (".checkpoint-2.partial", ".checkpoint-1.replaced", ".checkpoint-0.removed", ".result.partial"):
        (tmp_path / name).mkdir()
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-1"]


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
