"""Which checkpoint a run goes on from, over the ways an output folder can look."""

from __future__ import annotations

from pathlib import Path

import pytest

from simpletuner.assemble.output import choose_checkpoint, prepare, start_over
from simpletuner.core.checkpoints import list_checkpoints, written_checkpoint
from simpletuner.core.errors import ConfigError, DataError
from simpletuner.core.events import Event, Notice


def checkpoint(output_dir: Path, step: int) -> Path:
    with written_checkpoint(output_dir, step) as folder:
        (folder / "weights").write_bytes(b"x" * 10)
    return output_dir / f"checkpoint-{step}"


def ignore(event: Event) -> None:
    del event


@pytest.mark.parametrize("stray", [[], ["logs", "cache"], ["checkpoint-best"], [".checkpoint-3.partial"]])
def test_latest_without_a_visible_checkpoint_is_a_fresh_run(tmp_path: Path, stray: list[str]) -> None:
    for name in stray:
        (tmp_path / name).mkdir()
    assert choose_checkpoint(tmp_path, "latest", ignore) is None


def test_latest_is_the_highest_number(tmp_path: Path) -> None:
    for step in (500, 1000, 90):
        checkpoint(tmp_path, step)
    chosen = choose_checkpoint(tmp_path, "latest", ignore)
    assert chosen is not None
    assert chosen.step == 1000


def test_a_name_and_a_path_elsewhere(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "other", 7)
    checkpoint(tmp_path / "out", 9)
    for asked, step in (("checkpoint-9", 9), (str(path), 7)):
        chosen = choose_checkpoint(tmp_path / "out", asked, ignore)
        assert chosen is not None
        assert chosen.step == step


def test_a_damaged_named_one_is_never_replaced_by_another(tmp_path: Path) -> None:
    checkpoint(tmp_path, 1)
    (checkpoint(tmp_path, 2) / "weights").unlink()
    with pytest.raises(DataError, match="weights is missing"):
        choose_checkpoint(tmp_path, "checkpoint-2", ignore)
    with pytest.raises(ConfigError, match="checkpoint-3"):
        choose_checkpoint(tmp_path, "checkpoint-3", ignore)


def test_going_back_moves_later_checkpoints_aside(tmp_path: Path) -> None:
    for step in (5, 10, 15):
        checkpoint(tmp_path, step)
    told: list[Event] = []
    choose_checkpoint(tmp_path, "checkpoint-5", told.append)
    assert [item.path.name for item in list_checkpoints(tmp_path)] == ["checkpoint-5"]
    assert sorted(path.name for path in (tmp_path / "previous-1").iterdir()) == ["checkpoint-10", "checkpoint-15"]
    assert isinstance(told[0], Notice)
    assert "checkpoint-10" in told[0].text


def test_no_resume_over_old_checkpoints_is_refused(tmp_path: Path) -> None:
    checkpoint(tmp_path, 1)
    with pytest.raises(DataError, match="earlier run"):
        choose_checkpoint(tmp_path, None, ignore)


def test_starting_over_moves_everything_aside_and_deletes_nothing(tmp_path: Path) -> None:
    for expected in ("previous-1", "previous-2"):
        checkpoint(tmp_path, 1)
        (tmp_path / "metrics.jsonl").write_text("{}\n")
        (tmp_path / "cache").mkdir(exist_ok=True)
        start_over(tmp_path, lambda question: "earlier run" in question)
        assert sorted(path.name for path in (tmp_path / expected).iterdir()) == ["checkpoint-1", "metrics.jsonl"]
        assert (tmp_path / "cache").is_dir()


def test_starting_over_needs_a_yes_only_when_something_is_there(tmp_path: Path) -> None:
    start_over(tmp_path, lambda question: False)
    checkpoint(tmp_path, 1)
    with pytest.raises(DataError, match="not confirmed"):
        start_over(tmp_path, lambda question: False)


def test_a_file_in_the_folders_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(DataError, match="output_dir"):
        prepare(tmp_path / "out")
