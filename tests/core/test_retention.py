"""The oldest checkpoints go, and only on the strength of a newest one that was read back."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.core.checkpoints import Checkpoint, checkpoint_name, list_checkpoints, problem_with, written_checkpoint
from simpletuner.core.retention import Limits, may_promote, promote, prune, remove_damaged, superfluous


def write(output_dir: Path, step: int, *, is_rolling: bool = False) -> Path:
    with written_checkpoint(output_dir, step, is_rolling=is_rolling) as folder:
        (folder / "weights.bin").write_bytes(bytes([step % 256]) * 100)
    return output_dir / checkpoint_name(step, is_rolling=is_rolling)


def present(output_dir: Path) -> list[str]:
    return [checkpoint.path.name for checkpoint in list_checkpoints(output_dir)]


def test_the_documents_example(tmp_path: Path) -> None:
    """Interval 500 and limit 5 after step 3000 (SPEC 6.3)."""
    told: list[str] = []
    for step in range(500, 3001, 500):
        write(tmp_path, step)
        prune(tmp_path, Limits(5), told.append)
    assert present(tmp_path) == [f"checkpoint-{step}" for step in (1000, 1500, 2000, 2500, 3000)]
    assert told == []


@pytest.mark.parametrize("limit", [None, 0, -1])
def test_no_limit_removes_nothing(tmp_path: Path, limit: int | None) -> None:
    for step in (1, 2, 3):
        write(tmp_path, step)
    assert prune(tmp_path, Limits(limit), pytest.fail) == ()
    assert len(present(tmp_path)) == 3


def test_the_newest_two_stay_under_a_limit_of_one(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        write(tmp_path, step)
    prune(tmp_path, Limits(1), pytest.fail)
    assert present(tmp_path) == ["checkpoint-2", "checkpoint-3"]


def test_rolling_ones_are_counted_apart(tmp_path: Path) -> None:
    for step in (10, 20, 30):
        write(tmp_path, step)
    for step in (12, 22, 32):
        write(tmp_path, step, is_rolling=True)
    prune(tmp_path, Limits(ordinary=2, rolling=1), pytest.fail)
    assert present(tmp_path) == ["checkpoint-20", "checkpoint-30", "checkpoint-32-rolling"]


@given(
    st.sets(st.tuples(st.integers(0, 9), st.booleans())),
    st.integers(-1, 4) | st.none(),
    st.integers(-1, 4) | st.none(),
)
def test_what_stays(made: set[tuple[int, bool]], ordinary: int | None, rolling: int | None) -> None:
    found = [Checkpoint(step, Path(checkpoint_name(step, is_rolling=kind)), kind) for step, kind in made]
    found.sort(key=lambda checkpoint: checkpoint.age)
    going = superfluous(found, Limits(ordinary, rolling))
    stay = [checkpoint for checkpoint in found if checkpoint not in going]
    assert stay[-2:] == found[-2:]
    for kind, limit in ((False, ordinary), (True, rolling)):
        of_kind = [checkpoint for checkpoint in found if checkpoint.is_rolling is kind]
        kept = [checkpoint for checkpoint in stay if checkpoint.is_rolling is kind]
        assert kept == of_kind[len(of_kind) - len(kept) :], "the oldest go first"
        wanted = limit if limit and limit > 0 else len(of_kind)
        assert min(wanted, len(of_kind)) <= len(kept) <= max(wanted, 2)


def test_a_damaged_newest_one_stops_pruning_and_is_told(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        write(tmp_path, step)
    (tmp_path / "checkpoint-4" / "weights.bin").write_bytes(b"")
    told: list[str] = []
    assert prune(tmp_path, Limits(2), told.append) == ()
    assert len(present(tmp_path)) == 4
    reason = "weights.bin does not match its checksum"
    assert told == [f"checkpoint-4 is not as it was written ({reason}): the older checkpoints all stay"]


def test_what_cannot_be_removed_is_told_and_ends_no_run(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        write(tmp_path, step)
    # A file in the place that the old checkpoint is moved to.
    (tmp_path / ".checkpoint-1.removed").touch()
    told: list[str] = []
    assert prune(tmp_path, Limits(2), told.append) == ()
    assert "an old checkpoint could not be removed" in told[0]
    assert len(present(tmp_path)) == 3


def test_leftovers_of_a_removal_are_no_hindrance(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        write(tmp_path, step)
    (tmp_path / ".checkpoint-1.removed").mkdir()
    (tmp_path / ".checkpoint-1.removed" / "half.bin").touch()
    prune(tmp_path, Limits(2), pytest.fail)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-2", "checkpoint-3"]


def test_only_what_is_surely_damaged_is_removed(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        write(tmp_path, step)
    (tmp_path / "checkpoint-2" / "weights.bin").write_bytes(b"damaged")
    manifest = tmp_path / "checkpoint-3" / "manifest.json"
    manifest.unlink()
    manifest.symlink_to(manifest)
    gone = remove_damaged(list_checkpoints(tmp_path))
    assert [checkpoint.step for checkpoint in gone] == [2]
    assert present(tmp_path) == ["checkpoint-1", "checkpoint-3"], "what cannot be read today may be whole"


def test_a_rolling_one_becomes_the_ordinary_one_of_its_step(tmp_path: Path) -> None:
    write(tmp_path, 4, is_rolling=True)
    assert may_promote(tmp_path, 4)
    assert promote(tmp_path, 4)
    assert not may_promote(tmp_path, 4)
    assert present(tmp_path) == ["checkpoint-4"]
    assert problem_with(tmp_path / "checkpoint-4") is None
    write(tmp_path, 4, is_rolling=True)
    assert not promote(tmp_path, 4), "there is an ordinary one"
    assert not promote(tmp_path, 9)
