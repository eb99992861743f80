from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import constants

from simpletuner.assemble.stage import draws_seed, pinned, ranks_of, set_stage
from simpletuner.core.events import Event, Notice
from simpletuner.core.ranks import ALONE
from simpletuner.models.source import HubCommit
from tests.assemble.conftest import dataset, loaded_run, write_scenes
from tests.models.hub_cache import NEW, OLD, move


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with one picture."""
    monkeypatch.chdir(tmp_path)
    write_scenes(tmp_path / "cats", ["a.png"])


@pytest.mark.parametrize(("asked", "drawn"), [(7, False), (0, True), (-1, True)])
def test_a_drawn_seed_is_kept_by_a_checkpoint(tmp_path: Path, asked: int, drawn: bool) -> None:
    loaded = loaded_run(tmp_path, [dataset("cats")], seed=asked)
    assert draws_seed(loaded) is drawn
    assert set_stage(loaded, 1234, lambda _event: None).seed == (1234 if drawn else 7)
    assert (set_stage(loaded, None, lambda _event: None).seed == 7) is not drawn


def test_alone_there_is_no_job(tmp_path: Path) -> None:
    stage = set_stage(loaded_run(tmp_path, [dataset("cats")]), None, lambda _event: None)
    assert ranks_of(stage.processes) is ALONE
    assert ALONE.job == ""


@pytest.mark.parametrize(
    ("asked", "saved", "commit", "told"),
    [
        ({}, None, NEW, ""),
        ({}, OLD, OLD, ", that of the checkpoint"),
        ({"pretrained_model_revision": "main"}, OLD, NEW, ""),
        ({"pretrained_model_revision": OLD}, None, OLD, ""),
    ],
)
def test_the_weights_of_the_hub_are_those_of_one_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, str], saved: str | None, commit: str, told: str
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    move(tmp_path / "hub", "some/where", NEW)
    said: list[Event] = []
    loaded = loaded_run(tmp_path, [dataset("cats")], pretrained_model_name_or_path="some/where", **asked)
    stage = pinned(set_stage(loaded, None, said.append), saved)
    assert stage.weights.origin == HubCommit("some/where", commit)
    assert said[-1] == Notice(f"weights: some/where at commit {commit}{told}")


def test_a_folder_is_what_it_is(tmp_path: Path) -> None:
    stage = set_stage(loaded_run(tmp_path, [dataset("cats")]), None, lambda _event: None)
    assert pinned(stage, OLD) is stage
    assert stage.weights.origin == stage.weights.source
