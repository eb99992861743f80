"""Runs that are broken off and gone on, and what must then be equal to the run that was not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from simpletuner.core.checkpoints import Checkpoint, list_checkpoints, problem_with
from simpletuner.core.files import sha256
from simpletuner.models.omnigen.layers import TINY_FOLDER
from tests.runs.conftest import lay_out, metrics
from tests.runs.crashing import Aim, Story, play

# What a run tells of itself and of its time is not what it makes.
_TOLD = ("metrics.jsonl", "report.json", "logs")
_OF_THIS_RUN = ("step_seconds", "resumed_from")
Record = dict[str, Any]


def small_model(folder: Path, blocks: int = 2) -> Path:
    """The tiny OmniGen with only its first blocks: a step takes hundredths of a second."""
    shutil.copytree(TINY_FOLDER, folder)
    config, weights = (
        folder / "transformer" / "config.json",
        folder / "transformer" / "diffusion_pytorch_model.safetensors",
    )
    config.write_text(json.dumps(json.loads(config.read_text()) | {"num_layers": blocks}))
    kept = {name: value for name, value in load_file(weights).items() if _block(name) < blocks}
    save_file(kept, weights, {"format": "pt"})
    return folder


def _block(name: str) -> int:
    parts = name.split(".")
    return int(parts[1]) if parts[0] == "layers" else -1


@dataclass
class Trial:
    """One run, from its first start to its end, however often it is broken off; ``folder`` is laid out for it."""

    folder: Path
    words: tuple[str, ...]
    stories: list[Story] = field(default_factory=list)
    resumed: dict[int, str] = field(default_factory=dict)

    @property
    def output(self) -> Path:
        """Where its results go."""
        return self.folder / "output"

    def start(self, aim: Aim | None = None, stop_in: int | None = None, *more: str) -> Story:
        """Start it, or go on from its newest whole checkpoint; no step up to that one may be done again."""
        found = self.newest()
        story = play(self.folder, *self.words, *more, aim=aim, stop_in=stop_in)
        first = found.step + 1 if found else 1
        assert story.begun == list(range(first, first + len(story.begun)))
        # What is said of a step is forgotten when it is made again.
        self.resumed = {step: name for step, name in self.resumed.items() if step < first}
        if found is not None and story.done:
            self.resumed[first] = found.path.name
        self.stories.append(story)
        return story

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint, which the next start goes on from; one that is not whole was visible half-written."""
        found = list_checkpoints(self.output)
        for checkpoint in found:
            assert problem_with(checkpoint.path) is None, checkpoint.path
        return found[-1] if found else None

    def told(self) -> str:
        """What all its starts have said."""
        return (self.folder / "told").read_text()

    @property
    def records(self) -> list[Record]:
        """Its metrics.jsonl without what differs from run to run."""
        return [
            {key: value for key, value in record.items() if key not in _OF_THIS_RUN} for record in metrics(self.output)
        ]

    @property
    def made(self) -> dict[str, str]:
        """SHA-256 of every file of the last checkpoint and of the result."""
        last = list_checkpoints(self.output)[-1].path
        files = [
            *last.rglob("*"),
            *(path for path in self.output.rglob("*") if _is_result(path.relative_to(self.output))),
        ]
        return {path.relative_to(self.output).as_posix(): sha256(path) for path in files if path.is_file()}


def _is_result(path: Path) -> bool:
    # What was being written into a cache stays hidden there until `cache --prune`: another process may be writing it.
    is_left = path.parts[0] == "cache" and path.suffix == ".partial"
    return not path.parts[0].startswith("checkpoint-") and path.parts[0] not in _TOLD and not is_left


def begun(folder: Path, **options: object) -> Trial:
    """A trial in a new ``folder``."""
    folder.mkdir()
    return Trial(lay_out(folder), tuple(f"{key}={value}" for key, value in options.items()))


def another(trial: Trial, folder: Path, *, is_cached: bool = True) -> Trial:
    """The same run in another folder, before its first step; caches come along unless they are to be made again."""
    left = ("output", "told") if is_cached else ("output", "told", "cache")
    return Trial(shutil.copytree(trial.folder, folder, ignore=shutil.ignore_patterns(*left)), trial.words)


def require_equal(trial: Trial, whole: Trial) -> None:
    """``trial`` has ended, and nobody can tell from what it left that it did not run unbroken as ``whole`` did."""
    assert trial.stories[-1].code == 0, trial.told()
    assert trial.made == whole.made
    (unbroken,) = whole.stories
    for story in trial.stories:
        assert story.done.items() <= unbroken.done.items(), "order, loss or rate are others"
    assert trial.records == whole.records
    assert [record["step"] for record in trial.records] == list(range(1, len(unbroken.done) + 1))
    assert _resumed(trial) == trial.resumed
    assert all(problem_with(checkpoint.path) is None for checkpoint in list_checkpoints(trial.output))
    assert not list(trial.output.glob(".*")), "nothing half-made, and no lock"


def _resumed(trial: Trial) -> Mapping[int, str]:
    return {record["step"]: record["resumed_from"] for record in metrics(trial.output) if "resumed_from" in record}
