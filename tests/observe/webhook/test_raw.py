"""Fields of raw messages, as SPEC 7.3 to 7.5 and 5.9 say."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from simpletuner.core.events import (
    CheckpointSaved,
    Evaluated,
    Event,
    ImagesRendered,
    Notice,
    Picture,
    PreviewDrawn,
    Publishing,
    RunEnded,
    RunStarted,
    StageChanged,
    StageProgress,
    StepDone,
)
from simpletuner.observe.webhook.message import Around, Message, Pixels, Story
from simpletuner.observe.webhook.raw import raw_messages

AT = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
STARTED = RunStarted("run", Path("out"), 0, 20, 2, ("LoKr on 8 layers",))
COMMON = {"type", "severity", "job_id", "timestamp"}


def messages(*events: Event, seconds: float = 2.0) -> list[Message]:
    """The messages of the last event; each of them comes ``seconds`` after the one before it."""
    story, now = Story(), 0.0
    for event in events:
        now += seconds
        story = story.after(event, now)
    return list(raw_messages(events[-1], Around(story, AT, now, "job-7")))


def fields(*events: Event, seconds: float = 2.0) -> list[dict[str, Any]]:
    told = [dict(message.fields) for message in messages(*events, seconds=seconds)]
    for one in told:
        assert set(one) >= COMMON
        assert (one["job_id"], one["timestamp"]) == ("job-7", "2026-11-23T06:30:00+00:00")
        json.dumps(one, allow_nan=False)
    return told


def step(number: int, **metrics: float) -> StepDone:
    return StepDone(number, 1, 20, 0.5, 1e-4, 0.25, 4, metrics)


def test_a_step_has_progress_and_metrics_and_gives_way_to_the_next() -> None:
    (told,) = fields(STARTED, step(4), step(5, grad_norm=0.7, regularisation_loss=0.3))
    assert (told["type"], told["severity"], told["message"]) == ("training.status", "info", "step 5/20")
    assert told["data"] == {"status": "running", "global_step": 5, "epoch": 1, "total_steps": 20}
    progress = told["progress"]
    assert (progress["label"], progress["current"], progress["total"], progress["percent"]) == ("step 5/20", 5, 20, 25)
    assert progress["eta_seconds"] == round(0.25 * 15, 1)
    expected = {"loss": 0.5, "learning_rate": 1e-4, "epoch": 1, "effective_batch_size": 4, "total_batch_size": 4}
    assert expected.items() <= progress["metrics"].items()
    assert (progress["metrics"]["grad_norm"], progress["metrics"]["parent_loss"]) == (0.7, 0.3)
    assert {message.replaces for message in messages(STARTED, step(5))} == {"step"}


def test_a_number_that_is_none_is_null() -> None:
    (told,) = fields(STARTED, StepDone(1, 1, 20, math.nan, 1e-4, math.inf, 4))
    assert (told["progress"]["metrics"]["loss"], told["progress"]["metrics"]["step_seconds"]) == (None, None)


def test_a_counted_stage_runs_and_ends() -> None:
    first, later = StageProgress("init_vae_cache", "VAE cache progress (cats)", 0, 10), 4
    (told,) = fields(first, StageProgress("init_vae_cache", "VAE cache progress (cats)", later, 10), seconds=8)
    stage = told["stage"]
    assert (told["type"], stage["key"], stage["status"]) == ("lifecycle.stage", "init_vae_cache", "running")
    assert stage["progress"] == {
        **{"label": "VAE cache progress (cats)", "current": 4, "total": 10, "percent": 40},
        "eta_seconds": pytest.approx(8 / 4 * 6),
    }
    (told,) = fields(first, StageProgress("init_vae_cache", "VAE cache progress (cats)", 10, 10))
    assert told["stage"]["status"] == "completed"
    assert fields(StageProgress("validation", "one", 1, 1)) == []


def test_a_stage_that_was_told_to_begin_ends_when_it_is_told_to() -> None:
    begun, whole = StageChanged("validation", "", "running"), StageProgress("validation", "cat", 10, 10)
    (told,) = fields(begun, whole)
    assert (told["stage"]["status"], told["stage"]["progress"]["percent"]) == ("running", 100)
    (told,) = fields(begun, whole, StageChanged("validation", "", "completed"))
    assert told["stage"] == {"key": "validation", "label": "Running Validation", "status": "completed"}
    (told,) = fields(begun, StageChanged("validation", "", "skipped"), whole)
    assert told["stage"]["status"] == "completed", "counted alone again"


def test_an_uncounted_stage_has_the_label_of_the_specification() -> None:
    (told,) = fields(StageChanged("init_load_base_model", "OmniGen", "running"))
    assert told["stage"] == {"key": "init_load_base_model", "label": "Loading base model", "status": "running"}
    (told,) = fields(StageChanged("something_else", "Its own label", "failed"))
    assert (told["stage"]["label"], told["severity"]) == ("Its own label", "error")


def test_a_start() -> None:
    notified, status = fields(STARTED)
    (_, resumed) = fields(replace(STARTED, first_step=10, epoch=2))
    assert (status["data"]["epoch"], resumed["data"]["epoch"]) == (0, 2)
    assert (notified["type"], notified["title"]) == ("notification", "Job started")
    assert notified["data"] == {"name": "run", "output_dir": "out", "lines": ["LoKr on 8 layers"]}
    assert (status["type"], status["data"]["status"], status["progress"]["total"]) == (
        "training.status",
        "starting",
        20,
    )


@pytest.mark.parametrize("is_final", [False, True])
def test_a_checkpoint(is_final: bool) -> None:
    (saved,) = fields(CheckpointSaved(5, Path("out/checkpoint-5"), is_final=is_final))
    assert saved["type"] == "training.checkpoint"
    assert saved["checkpoint"] == {"path": "out/checkpoint-5", "label": "checkpoint-5", "is_final": is_final}


def test_pictures_are_told_prompt_by_prompt() -> None:
    pictures = tuple(
        Picture(Path(f"{name}_{size}.png"), name, f"a {name}", size, 64) for name in ("cat", "dog") for size in (64, 96)
    )
    cat, dog = messages(ImagesRendered(20, "validation", pictures))
    assert cat.drawings == (Path("cat_64.png"), Path("cat_96.png"))
    told = dog.fields
    assert (told["type"], told["message"], told["body"]) == ("training.validation", "Validation: dog", "a dog")
    assert (told["data"]["global_step"], told["data"]["resolutions"]) == (20, [[64, 64], [96, 64]])
    (base, _) = fields(ImagesRendered(0, "benchmark", pictures))
    assert base["data"]["validation_type"] == "base_model"
    assert "clip_score" not in told["data"]
    (scored, _) = fields(ImagesRendered(20, "validation", (replace(pictures[0], score=0.31), *pictures[1:])))
    assert scored["data"]["clip_score"] == 0.31


def test_a_preview_has_every_field() -> None:
    drawn = PreviewDrawn(100, "cat", "a cat", 5, 20, 0.75, 64, 48, b"x" * 64 * 48 * 3, panel="EMA")
    (message,) = messages(drawn)
    told = message.fields
    assert told["type"] == "validation.image"
    assert "5/20" in told["title"]
    assert told["title"].endswith("cat (EMA)")
    assert told["data"]["panel"] == "EMA"
    assert "cat" in told["message"]
    assert told["body"] == "a cat"
    expected = {"step": 5, "timestep": 0.75, "resolution": [64, 48], "validation_type": "intermediary"}
    assert (expected | {"prompt": "a cat", "step_label": "5/20"}).items() <= told["data"].items()
    assert message.drawings == (Pixels(64, 48, b"x" * 64 * 48 * 3),)
    assert (message.is_preview, message.weight, message.replaces) == (True, 64 * 48 * 3, "")


@pytest.mark.parametrize(
    ("level", "kind", "title"),
    [("info", "notification", "Notice"), ("warning", "notification", "Warning"), ("error", "error", "Error")],
)
def test_a_notice(level: str, kind: str, title: str) -> None:
    (told,) = fields(Notice("said", level=level))
    assert (told["type"], told["severity"], told["title"], told["message"]) == (kind, level, title, "said")


def test_an_evaluation_is_not_overtaken_by_a_step() -> None:
    (message,) = messages(Evaluated(5, 1, {"loss/val/eval": 0.4}))
    assert message.fields["data"]["metrics"] == {"loss/val/eval": 0.4}
    assert message.replaces == ""


def test_the_three_endings() -> None:
    stage, status = fields(STARTED, RunEnded(20, "completed", 9.0))
    assert (stage["stage"]["key"], status["data"]["status"], status["severity"]) == (
        "training_complete",
        "completed",
        "success",
    )
    stage, status = fields(STARTED, RunEnded(7, "interrupted", 9.0, "stopped"))
    assert (stage["stage"]["key"], status["message"]) == ("training_abort", "stopped")
    stage, status, error = fields(STARTED, RunEnded(7, "failed", 9.0, "no memory", "Traceback ..."))
    assert (status["data"]["status"], status["message"], status["data"]["epoch"]) == ("failed", "no memory", 0)
    assert (error["type"], error["title"], error["message"]) == ("error", "Error", "no memory")
    assert error["data"] == {"traceback": "Traceback ..."}


@pytest.mark.parametrize(
    ("log_level", "wanted"),
    [
        ("critical", []),
        ("error", ["error"]),
        ("warning", ["warning", "error"]),
        ("debug", ["info", "warning", "error"]),
    ],
)
def test_the_level_of_a_receiver(log_level: str, wanted: list[str]) -> None:
    told = [*messages(Notice("i")), *messages(Notice("w", "warning")), *messages(Notice("e", "error"))]
    assert [message.level for message in told if message.is_wanted(log_level)] == wanted
    # Success is told to whom information is told.
    (saved,) = messages(CheckpointSaved(1, Path("c")))
    assert (saved.is_wanted("info"), saved.is_wanted("warning")) == (True, False)


@pytest.mark.parametrize("status", ["uploading_model", "uploading_validation_samples", "model_available"])
def test_an_upload_is_a_status(status: str) -> None:
    (told,) = fields(STARTED, Publishing(20, status, Path("out/hub"), "https://hub/fox/x", "fox/x"))
    assert (told["type"], told["message"]) == ("training.status", f"{status}: https://hub/fox/x")
    assert (told["data"]["status"], told["data"]["global_step"]) == (status, 20)
