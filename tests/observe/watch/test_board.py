from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from PIL import Image

from simpletuner.observe.watch.board import Board


def png(width: int = 2) -> str:
    stream = io.BytesIO()
    Image.new("RGB", (width, 2)).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def step(number: int, loss: float = 0.5) -> dict[str, Any]:
    metrics = {"loss": loss, "learning_rate": 1e-4}
    progress = {"current": number, "total": 9, "percent": 10, "eta_seconds": 4.5, "metrics": metrics}
    return {"type": "training.status", "data": {"status": "running", "global_step": number}, "progress": progress}


def preview(place: int, nickname: str = "cat", width: int = 2) -> dict[str, Any]:
    data = {"step": place, "step_label": f"{place}/20", "nickname": nickname, "resolution": [width, 2]}
    return {"type": "validation.image", "data": data, "body": "a cat", "images": [png(width)]}


def board(*messages: dict[str, Any]) -> Board:
    made = Board()
    for message in messages:
        made.take(message)
    return made


def test_steps_are_points_under_the_names_of_metrics_jsonl() -> None:
    made = board(step(1, 0.9), step(2, 0.8))
    assert list(made.points) == [
        {"step": 1, "train_loss": 0.9, "learning_rate": 1e-4},
        {"step": 2, "train_loss": 0.8, "learning_rate": 1e-4},
    ]
    assert made.status == {
        **{"status": "running", "step": 2, "current": 2, "total": 9, "percent": 10},
        "eta_seconds": 4.5,
    }
    assert made.version == 2


def test_an_evaluation_joins_its_step() -> None:
    evaluated = {"type": "training.status", "data": {"status": "evaluated", "global_step": 2, "metrics": {"ref": 0.1}}}
    assert list(board(step(2), evaluated).points) == [{"step": 2, "train_loss": 0.5, "learning_rate": 1e-4, "ref": 0.1}]
    assert board(step(2), evaluated).status["status"] == "running"
    assert board(evaluated).status["status"] == "evaluated"


def test_a_run_that_went_back_makes_its_steps_anew() -> None:
    made = board(*(step(number) for number in (1, 2, 3, 4, 2)))
    assert [point["step"] for point in made.points] == [1, 2]


def test_stages_and_words() -> None:
    stage = {
        "key": "init_vae_cache",
        "label": "VAE",
        "status": "running",
        "progress": {"label": "VAE (cats)", "percent": 40},
    }
    made = board(
        {"type": "lifecycle.stage", "stage": stage}, {"type": "notification", "message": "said", "severity": "info"}
    )
    assert made.stages == {"init_vae_cache": {"label": "VAE (cats)", "status": "running", "percent": 40}}
    assert list(made.messages) == [{"at": "", "severity": "info", "text": "said"}]


def test_previews_of_a_sampling_stay_until_the_next_one_begins() -> None:
    made = board(preview(5), preview(10), preview(15, width=4))
    assert captions(made) == ["10/20 · cat · a cat", "15/20 · cat · a cat"]
    made = board(preview(5), preview(10), preview(5, "dog"), preview(10, "dog"))
    assert captions(made) == ["10/20 · cat · a cat", "5/20 · dog · a cat", "10/20 · dog · a cat"]
    made.take(preview(5))
    assert captions(made) == ["10/20 · dog · a cat", "5/20 · cat · a cat"]


def test_live_and_averaged_weights_draw_two_pictures() -> None:
    def of(place: int, panel: str) -> dict[str, Any]:
        told = preview(place)
        return {**told, "data": {**told["data"], "panel": panel}}

    made = board(of(5, "step 20"), of(10, "step 20"), of(5, "EMA"))
    assert captions(made) == ["10/20 · step 20 · cat · a cat", "5/20 · EMA · cat · a cat"]


def test_finished_pictures_take_the_place_of_previews() -> None:
    finished = {"type": "training.validation", "data": {"global_step": 7, "nickname": "cat"}, "images": [png()]}
    made = board(preview(5), preview(5, "dog"), finished, {**finished, "data": {"global_step": 7, "nickname": "dog"}})
    assert captions(made) == ["step 7 · cat", "step 7 · dog"]


@pytest.mark.parametrize("ended", ["completed", "failed", "interrupted"])
def test_a_run_that_is_over_draws_nothing(ended: str) -> None:
    made = board(preview(5), {"type": "training.status", "data": {"status": ended}}, preview(10))
    assert captions(made) == []
    made.take(step(1))
    made.take(preview(15))
    assert captions(made) == ["15/20 · cat · a cat"]


def test_the_name_of_the_run_is_known_once_it_starts() -> None:
    assert board(step(1)).name == ""
    assert board({"type": "notification", "title": "Job started", "data": {"name": "fox"}}, step(1)).name == "fox"


def captions(made: Board) -> list[str]:
    return [one.caption for one in made.pictures]


def test_a_picture_is_found_by_its_name_and_old_ones_go() -> None:
    made = board(preview(1))
    name = made.pictures[0].name
    assert made.picture(name) == base64.b64decode(png())
    assert made.picture("received-9-9.png") is None
    for number in range(60):
        made.take({"type": "training.validation", "data": {"global_step": number}, "images": [png()]})
    assert len(made.pictures) == 48
    assert made.picture(name) is None


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"type": ["list"]},
        {"type": "training.status", "data": 7, "progress": "x"},
        {"type": "training.status", "data": {"global_step": "x"}, "progress": {"metrics": [1]}},
        {"type": "training.status", "data": {"global_step": True}, "progress": {"metrics": {"loss": 1e999}}},
        {"type": "lifecycle.stage", "stage": [1]},
        {"type": "validation.image", "images": "x", "data": None},
        {"type": "validation.image", "images": [7, "no base64!", base64.b64encode(b"<svg>").decode()]},
    ],
)
def test_what_is_of_another_form_is_left_out(message: dict[str, Any]) -> None:
    made = board(message)
    assert (made.version, len(made.points), len(made.pictures)) == (1, 0, 0)


def test_a_long_text_is_cut() -> None:
    assert len(board({"type": "notification", "message": "x" * 100_000}).messages[0]["text"]) == 4000


def test_stages_are_bounded() -> None:
    made = board(*({"type": "lifecycle.stage", "stage": {"key": str(number)}} for number in range(40)))
    assert list(made.stages) == [str(number) for number in range(28, 40)]
