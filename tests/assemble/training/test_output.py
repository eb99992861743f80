"""Which checkpoint a run goes on from, over the ways an output folder can look."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from simpletuner.assemble.training.output import choose_checkpoint, leave_branch, occupied, start_over
from simpletuner.core.checkpoints import (
    BEST,
    checkpoint_name,
    list_checkpoints,
    sealed,
    sweep,
    written_best,
    written_checkpoint,
)
from simpletuner.core.errors import ConfigError, DataError
from simpletuner.core.events import Event, Notice
from simpletuner.core.lock import LOCK

REFUSED = "exit 3"
FRESH = "fresh"


def checkpoint(output_dir: Path, step: int, *, is_rolling: bool = False) -> Path:
    output_dir.mkdir(exist_ok=True)
    with written_checkpoint(output_dir, step, is_rolling=is_rolling) as folder:
        (folder / "weights").write_bytes(b"x" * 10)
        (folder / "ema").mkdir()
        (folder / "ema" / "average").write_bytes(b"y" * 10)
    return output_dir / checkpoint_name(step, is_rolling=is_rolling)


def ignore(event: Event) -> None:
    del event


def flipped(path: Path) -> None:
    path.write_bytes(b"z" + path.read_bytes()[1:])


def with_manifest(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    change(manifest)
    (path / "manifest.json").write_text(json.dumps(sealed(manifest)))


def two(change: Callable[[Path], object]) -> Callable[[Path], object]:
    """Whole checkpoints 5 and 10, and something done to the newer one."""

    def lay(out: Path) -> None:
        checkpoint(out, 5)
        change(checkpoint(out, 10))

    return lay


def one(change: Callable[[Path], object]) -> Callable[[Path], object]:
    """A whole checkpoint 10, and something done to it."""
    return lambda out: change(checkpoint(out, 10))


def beside(change: Callable[[Path], object]) -> Callable[[Path], object]:
    """A whole checkpoint 5, and something done in the folder."""

    def lay(out: Path) -> None:
        checkpoint(out, 5)
        change(out)

    return lay


def cut(path: Path, by: int = 1) -> None:
    path.write_bytes(path.read_bytes()[:-by])


def killed_while_writing(out: Path) -> None:
    shutil.copytree(out / "checkpoint-5", out / ".checkpoint-10.partial")
    (out / ".checkpoint-10.partial" / "manifest.json").unlink()


def killed_before_the_rename(out: Path) -> None:
    checkpoint(out, 10).rename(out / ".checkpoint-10.partial")


def killed_between_the_renames(out: Path) -> None:
    checkpoint(out, 10).rename(out / ".checkpoint-10.replaced")
    shutil.copytree(out / "checkpoint-5", out / ".checkpoint-10.partial")


def killed_while_removing(out: Path) -> None:
    checkpoint(out, 1).rename(out / ".checkpoint-1.removed")
    (out / ".checkpoint-1.removed" / "weights").unlink()


def foreign(out: Path, name: str) -> None:
    (out / name).mkdir(parents=True)
    (out / name / "optimizer.bin").write_bytes(b"not ours")
    (out / name / "training_state.json").write_text("{}")


LAYOUTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder yet": (shutil.rmtree, FRESH),
    "empty": (lambda out: None, FRESH),
    "logs and caches": (lambda out: [(out / name).mkdir() for name in ("logs", "cache")], FRESH),
    "an empty checkpoint-best": (lambda out: (out / "checkpoint-best").mkdir(), FRESH),
    "an empty checkpoint-7-tmp": (lambda out: (out / "checkpoint-7-tmp").mkdir(), FRESH),
    "a file named checkpoint": (lambda out: (out / "checkpoint").touch(), FRESH),
    "a first save killed": (lambda out: (out / ".checkpoint-3.partial").mkdir(), FRESH),
    "whole": (two(lambda path: None), "checkpoint-10"),
    "a manifest missing": (two(lambda path: (path / "manifest.json").unlink()), "checkpoint-5"),
    "a manifest cut": (two(lambda path: cut(path / "manifest.json", 9)), "checkpoint-5"),
    "a manifest emptied": (two(lambda path: (path / "manifest.json").write_text("")), "checkpoint-5"),
    "a manifest that names ../x": (
        two(lambda path: with_manifest(path, lambda made: made.update(files={"../checkpoint-5/weights": "0"}))),
        "checkpoint-5",
    ),
    "a manifest that names nothing": (
        two(lambda path: with_manifest(path, lambda made: made.update(files={}))),
        "checkpoint-5",
    ),
    "a manifest that was edited": (
        two(
            lambda path: (path / "manifest.json").write_text(
                (path / "manifest.json").read_text().replace('"step": 10', '"step": 11')
            )
        ),
        "checkpoint-5",
    ),
    "a file cut": (two(lambda path: cut(path / "weights")), "checkpoint-5"),
    "a bit flipped": (two(lambda path: flipped(path / "weights")), "checkpoint-5"),
    "a bit flipped below": (two(lambda path: flipped(path / "ema" / "average")), "checkpoint-5"),
    "a file emptied": (two(lambda path: (path / "weights").write_bytes(b"")), "checkpoint-5"),
    "a file missing": (two(lambda path: (path / "weights").unlink()), "checkpoint-5"),
    "a folder where a file should be": (
        two(lambda path: ((path / "weights").unlink(), (path / "weights").mkdir())),
        "checkpoint-5",
    ),
    "a file that nobody names": (two(lambda path: (path / "notes.txt").touch()), "checkpoint-10"),
    "everything gone from it": (two(lambda path: (shutil.rmtree(path), path.mkdir())), "checkpoint-5"),
    "a file in its place": (two(lambda path: (shutil.rmtree(path), path.touch())), "checkpoint-5"),
    "a link in its place": (
        two(lambda path: (path.rename(path.parent / "kept"), path.symlink_to(path.parent / "kept"))),
        "checkpoint-5",
    ),
    "a link to nowhere": (beside(lambda out: (out / "checkpoint-10").symlink_to(out / "nowhere")), "checkpoint-5"),
    "renamed to a later step": (two(lambda path: path.rename(path.parent / "checkpoint-900")), "checkpoint-5"),
    "strays beside": (
        beside(lambda out: [(out / f"checkpoint-{name}").mkdir() for name in ("best", "7-tmp", "007")]),
        "checkpoint-5",
    ),
    "another program's beside": (beside(lambda out: foreign(out, "checkpoint-10")), "checkpoint-5"),
    "rolling and ordinary of one step": (beside(lambda out: checkpoint(out, 5, is_rolling=True)), "checkpoint-5"),
    "a newer rolling one": (beside(lambda out: checkpoint(out, 7, is_rolling=True)), "checkpoint-7-rolling"),
    "a damaged ordinary one beside the rolling one": (
        lambda out: (checkpoint(out, 5, is_rolling=True), flipped(checkpoint(out, 5) / "weights")),
        "checkpoint-5-rolling",
    ),
    "killed while writing": (beside(killed_while_writing), "checkpoint-5"),
    "killed before the rename": (beside(killed_before_the_rename), "checkpoint-5"),
    "killed between the renames": (beside(killed_between_the_renames), "checkpoint-10"),
    "killed while removing": (beside(killed_while_removing), "checkpoint-5"),
    "only a damaged one": (one(lambda path: flipped(path / "weights")), REFUSED),
    "only one without a manifest": (one(lambda path: (path / "manifest.json").unlink()), REFUSED),
    "only an empty one": (lambda out: (out / "checkpoint-10").mkdir(), REFUSED),
    "only damaged ones": (
        lambda out: [cut(checkpoint(out, step) / "weights") for step in (5, 10)],
        REFUSED,
    ),
    "only a damaged rolling one": (lambda out: cut(checkpoint(out, 5, is_rolling=True) / "weights"), REFUSED),
    "only another program's": (lambda out: foreign(out, "checkpoint-500"), REFUSED),
    "only one under a name with zeros": (one(lambda path: path.rename(path.parent / "checkpoint-0010")), REFUSED),
    "only one under a name of its own": (one(lambda path: path.rename(path.parent / "checkpoint-best")), REFUSED),
    "only a link to a whole one": (
        one(lambda path: (path.rename(path.parent / "kept"), path.symlink_to(path.parent / "kept"))),
        REFUSED,
    ),
    "a file in the place of the only one": (one(lambda path: (shutil.rmtree(path), path.touch())), FRESH),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_latest_is_the_right_choice_or_none_at_all(tmp_path: Path, name: str) -> None:
    """Never a fresh start where a checkpoint is visible, and each one that is passed over is told."""
    lay, expected = LAYOUTS[name]
    out = tmp_path / "out"
    out.mkdir()
    lay(out)
    told: list[str] = []

    def tell(event: Event) -> None:
        assert isinstance(event, Notice)
        told.append(event.text)

    with occupied(out, tell):
        visible = {path.name for path in out.iterdir() if path.name.startswith("checkpoint")}
        if expected == REFUSED:
            with pytest.raises(DataError, match="--fresh") as caught:
                choose_checkpoint(out, "latest", tell)
            assert caught.value.exit_code == 3
            return
        chosen = choose_checkpoint(out, "latest", tell)
    assert (FRESH if chosen is None else chosen.path.name) == expected
    passed_over = visible - {item.path.name for item in list_checkpoints(out) if chosen and item.age <= chosen.age}
    assert all(any(name in line for line in told) for name in passed_over)
    assert len(told) == len(passed_over)


READ = """
import os, sys
from pathlib import Path
from simpletuner.assemble.training.output import choose_checkpoint, occupied
from simpletuner.core.errors import DataError
# Whoever gives up the rights of root may not read Python's own files any more: what is needed is imported before.
with occupied(Path(sys.argv[2]), print):
    choose_checkpoint(Path(sys.argv[2]), "latest", print)
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    with occupied(Path(sys.argv[1]), print):
        print(choose_checkpoint(Path(sys.argv[1]), "latest", lambda event: print(event.text)).path.name)
except DataError as error:
    print(error)
    sys.exit(error.exit_code)
"""


@pytest.mark.parametrize(
    ("closed", "code", "told"),
    [
        ("checkpoint-10", 0, "skipped checkpoint-10: it cannot be read"),
        ("checkpoint-10/weights", 0, "skipped checkpoint-10: it cannot be read"),
        ("checkpoint-10/manifest.json", 0, "skipped checkpoint-10: it cannot be read"),
        ("", 3, "cannot write here: Permission denied"),
    ],
)
def test_what_may_not_be_read_is_told(tmp_path: Path, closed: str, code: int, told: str) -> None:
    out = tmp_path / "out"
    for step in (5, 10):
        checkpoint(out, step)
    if os.geteuid() == 0:
        for path in (tmp_path, *tmp_path.parents):
            if path == Path(tempfile.gettempdir()):
                break
            path.chmod(path.stat().st_mode | 0o055)
        for path in (out, *out.rglob("*")):
            os.chown(path, 65534, 65534)
    (out / closed).chmod(0)
    checkpoint(tmp_path / "warm", 5)
    words = [sys.executable, "-c", READ, str(out), str(tmp_path / "warm")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    (out / closed).chmod(0o755)
    assert done.returncode == code, done.stderr
    assert told in done.stdout
    if code == 0:
        assert done.stdout.splitlines()[-1] == "checkpoint-5"


def test_latest_is_the_highest_number(tmp_path: Path) -> None:
    for step in (500, 1000, 90):
        checkpoint(tmp_path, step)
    chosen = choose_checkpoint(tmp_path, "latest", ignore)
    assert chosen is not None
    assert chosen.step == 1000


def test_damaged_ones_are_deleted_only_when_asked_and_when_a_whole_one_is_there(tmp_path: Path) -> None:
    for step in (5, 10, 15):
        checkpoint(tmp_path, step)
    flipped(tmp_path / "checkpoint-15" / "weights")
    cut(tmp_path / "checkpoint-10" / "weights")
    told: list[Event] = []
    choose_checkpoint(tmp_path, "latest", told.append)
    assert len(list_checkpoints(tmp_path)) == 3
    chosen = choose_checkpoint(tmp_path, "latest", told.append, delete_damaged=True)
    assert chosen is not None
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-5"]
    assert isinstance(told[-1], Notice)
    assert told[-1].text == "delete_invalid_checkpoints: checkpoint-15, checkpoint-10 deleted"
    flipped(tmp_path / "checkpoint-5" / "weights")
    with pytest.raises(DataError, match="none of its 1 checkpoints"):
        choose_checkpoint(tmp_path, "latest", told.append, delete_damaged=True)
    assert (tmp_path / "checkpoint-5").is_dir()


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
        choose_checkpoint(tmp_path, "checkpoint-2", ignore, delete_damaged=True)
    with pytest.raises(ConfigError, match="checkpoint-3"):
        choose_checkpoint(tmp_path, "checkpoint-3", ignore)
    assert len(list_checkpoints(tmp_path)) == 2


def test_going_back_moves_later_checkpoints_aside(tmp_path: Path) -> None:
    for step in (5, 10, 15):
        checkpoint(tmp_path, step)
    checkpoint(tmp_path, 12, is_rolling=True)
    told: list[Event] = []
    leave_branch(tmp_path, 5, told.append)
    assert [item.path.name for item in list_checkpoints(tmp_path)] == ["checkpoint-5"]
    aside = sorted(path.name for path in (tmp_path / "previous-1").iterdir())
    assert aside == ["checkpoint-10", "checkpoint-12-rolling", "checkpoint-15"]
    assert isinstance(told[0], Notice)
    assert "checkpoint-10" in told[0].text


def best(output_dir: Path, step: int) -> Path:
    with written_best(output_dir, step) as folder:
        (folder / "weights").write_bytes(b"x" * 10)
    return output_dir / BEST


def test_the_best_weights_are_no_candidate_and_nothing_strange(tmp_path: Path) -> None:
    checkpoint(tmp_path, 10)
    best(tmp_path, 15)
    told: list[Event] = []
    chosen = choose_checkpoint(tmp_path, "latest", told.append)
    assert chosen is not None
    assert chosen.path.name == "checkpoint-10"
    assert told == []


def test_the_best_weights_go_aside_with_the_steps_they_are_of(tmp_path: Path) -> None:
    for step in (5, 10):
        checkpoint(tmp_path, step)
    best(tmp_path, 5)
    leave_branch(tmp_path, 5, ignore)
    assert (tmp_path / BEST).is_dir()
    shutil.rmtree(tmp_path / "previous-1")
    best(tmp_path, 7)
    leave_branch(tmp_path, 5, ignore)
    assert [path.name for path in (tmp_path / "previous-1").iterdir()] == [BEST]


def test_the_best_weights_can_be_gone_on_from_by_name(tmp_path: Path) -> None:
    for step in (5, 10):
        checkpoint(tmp_path, step)
    best(tmp_path, 7)
    chosen = choose_checkpoint(tmp_path, BEST, ignore)
    assert chosen is not None
    assert (chosen.step, chosen.path.name) == (7, BEST)
    assert [item.step for item in list_checkpoints(tmp_path)] == [5, 10]


def test_a_run_of_which_only_the_best_weights_are_left_is_not_run_over(tmp_path: Path) -> None:
    best(tmp_path, 7)
    with pytest.raises(DataError, match="earlier run"):
        choose_checkpoint(tmp_path, None, ignore)
    with pytest.raises(DataError, match=BEST):
        choose_checkpoint(tmp_path, "latest", ignore)


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
    with pytest.raises(DataError, match="output_dir: is a file"), occupied(tmp_path / "out", ignore):
        pass


def test_a_folder_is_one_runs_own_and_is_swept_only_by_it(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with occupied(out, ignore):
        (out / ".checkpoint-3.partial").mkdir()
        with pytest.raises(DataError, match="another run works in this folder"), occupied(out, ignore):
            pass
        assert (out / ".checkpoint-3.partial").is_dir(), "it is being written"
    with occupied(out, ignore):
        assert [path.name for path in out.iterdir()] == [LOCK]
    assert list(out.iterdir()) == []


def test_sweeping_twice_is_sweeping_once(tmp_path: Path) -> None:
    killed_between_the_renames(checkpoint(tmp_path, 5).parent)
    sweep(tmp_path)
    found = list_checkpoints(tmp_path)
    sweep(tmp_path)
    assert list_checkpoints(tmp_path) == found
