"""Scores and copies in whole runs: told wherever numbers are told, and without any effect on training."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from simpletuner.core.files import sha256
from simpletuner.validation.save import read_facts
from tests.runs.conftest import Train, metrics
from tests.runs.resuming import small_model

ADAPTER = "pytorch_lora_weights.safetensors"
DRAWN = {
    "validation_disable": "false",
    "validation_prompt": "a red apple",
    "validation_resolution": "64x64",
    "validation_num_inference_steps": 2,
    "validation_step_interval": 2,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_model(tmp_path_factory.mktemp("model") / "omnigen")


def told(output: Path) -> dict[int, dict[str, object]]:
    """The numbers of the judge, by step."""
    found = {
        int(str(record["step"])): {
            key: value for key, value in record.items() if key.startswith(("clip/", "memorisation/"))
        }
        for record in metrics(output)
    }
    return {step: numbers for step, numbers in found.items() if numbers}


def test_scores_are_told_everywhere_and_change_no_weight(train: Train, model: Path, tmp_path: Path) -> None:
    usual = DRAWN | {"pretrained_model_name_or_path": model, "report_to": "tensorboard"}
    assert train(**usual, evaluation_type="clip", output_dir="judged") == 0
    assert train(**usual, output_dir="output") == 0
    assert sha256(tmp_path / "judged" / ADAPTER) == sha256(tmp_path / "output" / ADAPTER)
    assert told(tmp_path / "output") == {}
    found = told(tmp_path / "judged")
    assert sorted(found) == [2, 4]
    names = {f"clip/{name}" for name in ("mean", "min", "max", "std", "base/mean", "gain")}
    assert set(found[4]) == names | {f"memorisation/{name}" for name in ("max", "mean", "typical")}
    assert found[4]["clip/std"] == 0
    assert found[2]["clip/base/mean"] == found[4]["clip/base/mean"]
    events = EventAccumulator(str(tmp_path / "judged" / "logs"))
    events.Reload()
    charted = {event.step: event.value for event in events.Scalars("clip/mean")}
    assert charted == pytest.approx({step: numbers["clip/mean"] for step, numbers in found.items()})
    pictures = tmp_path / "judged" / "validation_images"
    scored = read_facts(pictures / "step_4_validation_0_64x64.png")["clip_score"]
    assert float(scored) == found[4]["clip/mean"]
    assert "clip_score" not in read_facts(pictures / "step_4_unconditional_0_64x64.png")


def test_a_run_that_goes_on_tells_the_same_scores(train: Train, model: Path, tmp_path: Path) -> None:
    usual = DRAWN | {"pretrained_model_name_or_path": model, "evaluation_type": "clip"}
    assert train(**usual, output_dir="whole") == 0
    assert train(**usual, max_train_steps=2) == 0
    assert train(**usual, resume_from_checkpoint="latest") == 0
    assert told(tmp_path / "output") == told(tmp_path / "whole")


@pytest.mark.parametrize("named", ["nowhere", "pictures"])
def test_a_clip_that_is_not_there_is_told_at_once(
    named: str, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {"evaluation_type": "clip", "pretrained_evaluation_model_name_or_path": named}
    assert train(**DRAWN, **words) == 2
    said = capsys.readouterr().err
    assert "pretrained_evaluation_model_name_or_path" in said
    assert f"'{named}'" in said
    assert not (tmp_path / "cache").exists()


def test_one_that_cannot_be_fetched_is_told_before_a_picture_is_cached(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {"evaluation_type": "clip", "pretrained_evaluation_model_name_or_path": "no/where"}
    assert train(**DRAWN, **words) == 2
    assert "cannot fetch 'no/where'" in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()
