"""The loss on pictures held out, in whole runs: told, repeatable, resumed, and without any effect on training."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from simpletuner.core.checkpoints import BEST, list_checkpoints, problem_with, saved_step
from simpletuner.core.files import sha256
from tests.runs.company import company
from tests.runs.conftest import DATASETS, EXAMPLE, Train, metrics
from tests.runs.resuming import small_model

ADAPTER = "pytorch_lora_weights.safetensors"
Record = dict[str, Any]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_model(tmp_path_factory.mktemp("model") / "omnigen")


@pytest.fixture
def evaluate(train: Train, model: Path, tmp_path: Path) -> Train:
    """As ``train``, with a small model and three pictures held out."""
    (tmp_path / "held").mkdir()
    names = sorted(path.stem for path in (EXAMPLE / "images").glob("*.png"))
    for name in [name for name in names if not (tmp_path / "pictures" / f"{name}.png").exists()][:3]:
        shutil.copy(EXAMPLE / "images" / f"{name}.png", tmp_path / "held")
    entry = {"id": "held", "dataset_type": "eval", "instance_data_dir": "held", "cache_dir_vae": "cache/held"}
    loader = tmp_path / "config" / "multidatabackend.json"
    loader.write_text(json.dumps([*DATASETS, DATASETS[0] | entry]))

    def start(*words: str, **overrides: object) -> int:
        usual = {"pretrained_model_name_or_path": model, "eval_steps_interval": 2, "eval_timesteps": 4}
        return train(*words, **usual | overrides)

    return start


def evaluations(output: Path) -> dict[int, Record]:
    """What was told of the pictures held out, by step."""
    kept = {
        int(str(record["step"])): {key: value for key, value in record.items() if "loss/val/" in key or "seen" in key}
        for record in metrics(output)
    }
    return {step: found for step, found in kept.items() if found}


def test_it_tells_the_loss_its_error_and_what_to_hold_it_against(evaluate: Train, tmp_path: Path) -> None:
    assert evaluate(report_to="tensorboard", num_eval_images="") == 0
    output = tmp_path / "output"
    told = evaluations(output)
    assert sorted(told) == [0, 2, 4]
    assert "loss/val/held" not in told[0]
    last = told[4]
    assert 0.1 < last["loss/val/held"] < 20
    assert last["loss/val/held/se"] > 0
    assert last["loss/val/held/base"] == told[0]["loss/val/held/base"]
    assert last["loss/val/held/gain"] == pytest.approx(last["loss/val/held/base"] - last["loss/val/held"])
    assert 0 < last["loss/val/held/gain/se"] < last["loss/val/held/se"]
    assert {"loss/val/held/ema", "loss/val/held/ema/se", "loss/seen", "loss/val/held/explained"} < last.keys()
    curve = [value for key, value in last.items() if key.startswith("chart/loss/val/held/")]
    assert len(curve) == 4
    assert sum(curve) / 4 == pytest.approx(last["loss/val/held"])
    charts = EventAccumulator(str(next((tmp_path / "output" / "logs").glob("**/events*"))))
    charts.Reload()
    assert [point.step for point in charts.Scalars("loss/val/held")] == [2, 4]
    assert "chart/loss/val/held/base/0.240" in charts.Tags()["scalars"]
    report = json.loads((output / "report.json").read_text())
    assert {found["id"]: found["used"] for found in report["datasets"]} == {"flat": 5, "held": 3}


def test_every_step_tells_its_loss_by_noise_level_and_what_to_hold_it_against(evaluate: Train, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE / "images", tmp_path / "pictures", dirs_exist_ok=True)
    assert evaluate(eval_loss_disable=True, use_ema=False, caption_dropout_probability=0) == 0
    output = tmp_path / "output"
    assert evaluations(output) == {}
    for record in metrics(output):
        bins = [value for key, value in record.items() if key.startswith("loss/bin/")]
        assert 1 <= len(bins) <= 2
        assert min(bins) <= record["train_loss"] <= max(bins) or record["train_loss"] == pytest.approx(bins[0])
        variance = record["train_loss"] / (1 - record["loss/explained"])
        assert 1 < variance < 4
        assert 0.5 < record["loss/linear_reference"] < variance
    assert not (output / BEST).exists()


def test_observing_changes_nothing(evaluate: Train, tmp_path: Path) -> None:
    assert evaluate(eval_steps_interval=1) == 0
    observed = sha256(tmp_path / "output" / ADAPTER)
    assert evaluate(eval_loss_disable=True, output_dir="other") == 0
    assert sha256(tmp_path / "other" / ADAPTER) == observed


def test_a_run_that_goes_on_tells_what_an_unbroken_one_tells(evaluate: Train, tmp_path: Path) -> None:
    assert evaluate(max_train_steps=6, eval_steps_interval=1) == 0
    assert evaluate(max_train_steps=3, eval_steps_interval=1, output_dir="broken") == 0
    assert evaluate(max_train_steps=6, eval_steps_interval=1, output_dir="broken") == 0
    assert evaluations(tmp_path / "broken") == evaluations(tmp_path / "output")
    found = [saved_step(tmp_path / name / BEST) for name in ("output", "broken")]
    assert found[0] == found[1]


def test_a_run_that_goes_on_charts_each_evaluation_once(evaluate: Train, tmp_path: Path) -> None:
    """The checkpoint of a step is older than its evaluation, which the next run makes again."""
    words = {"report_to": "tensorboard", "checkpoint_step_interval": 2}
    assert evaluate(max_train_steps=2, **words) == 0
    assert evaluate(max_train_steps=4, **words) == 0
    reader = EventAccumulator(str(tmp_path / "output" / "logs"))
    reader.Reload()
    assert [event.step for event in reader.Scalars("loss/val/held")] == [2, 4]
    assert [event.step for event in reader.Scalars("loss/val/held/base")] == [0, 2, 4]


def test_the_best_weights_are_kept_and_latest_does_not_take_them(evaluate: Train, tmp_path: Path) -> None:
    assert evaluate(eval_steps_interval=1, checkpoint_step_interval=4) == 0
    output = tmp_path / "output"
    losses = {step: found["loss/val/held"] for step, found in evaluations(output).items() if step}
    assert problem_with(output / BEST) is None
    assert saved_step(output / BEST) == min(losses, key=lambda step: losses[step])
    assert [found.step for found in list_checkpoints(output)] == [4]
    assert evaluate(max_train_steps=5, eval_loss_disable=True) == 0
    assert metrics(output)[-1]["resumed_from"] == "checkpoint-4"


def test_the_best_weights_can_be_gone_on_from_by_name(evaluate: Train, tmp_path: Path) -> None:
    assert evaluate(max_train_steps=2, checkpoint_step_interval=2) == 0
    shutil.rmtree(tmp_path / "output" / "checkpoint-2")
    assert evaluate(max_train_steps=4) == 3
    assert evaluate(max_train_steps=4, resume_from_checkpoint="") == 3
    assert evaluate(max_train_steps=4, resume_from_checkpoint=BEST) == 0
    assert [record["step"] for record in metrics(tmp_path / "output")] == [0, 1, 2, 3, 4]


def test_it_stops_when_nothing_better_comes(
    evaluate: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    still = {"learning_rate": 1e-30, "eval_steps_interval": 1, "early_stop_patience": 2, "max_train_steps": 9}
    assert evaluate(**still) == 0
    output = tmp_path / "output"
    assert metrics(output)[-1]["step"] == 3
    assert "early stop after step 3: 2 evaluations without a lower loss since step 1" in capsys.readouterr().out
    assert list_checkpoints(output)[-1].step == 3
    assert (output / ADAPTER).is_file()
    assert evaluate(**still) == 0
    assert metrics(output)[-1]["step"] == 3
    assert evaluate(**still | {"early_stop_patience": ""}) == 0
    assert metrics(output)[-1]["step"] == 9


def test_pictures_can_be_counted_and_pooled_and_epochs_be_parts(evaluate: Train, tmp_path: Path) -> None:
    words = {"eval_steps_interval": "", "eval_epoch_interval": 0.5, "max_train_steps": 6, "use_ema": False}
    assert evaluate(**words, num_eval_images=1, eval_dataset_pooling=True, checkpoint_best=False) == 0
    told = evaluations(tmp_path / "output")
    # Five pictures are three updates: the halves of two epochs end in updates 2, 3, 5 and 6.
    assert sorted(told) == [0, 2, 3, 5, 6]
    assert "loss/val/pooled" in told[6]
    assert "loss/val/pooled/se" not in told[6]
    assert not (tmp_path / "output" / BEST).exists()


@pytest.mark.two_ranks
@pytest.mark.parametrize("sharded", [False, pytest.param(True, marks=pytest.mark.long)])
def test_two_processes_share_the_pictures_and_tell_the_same(
    evaluate: Train, model: Path, tmp_path: Path, *, sharded: bool
) -> None:
    assert evaluate(max_train_steps=2, caption_dropout_probability=0) == 0
    words = ("max_train_steps=2", "caption_dropout_probability=0", "eval_steps_interval=2", "eval_timesteps=4")
    alike = ("train_batch_size=1", f"pretrained_model_name_or_path={model}", "output_dir=both")
    with company(2, *words, *alike, f"fsdp_enable={sharded}") as made:
        assert made.wait() == [0, 0], made.said(0)
    alone, both = (evaluations(tmp_path / name) for name in ("output", "both"))
    assert both.keys() == alone.keys()
    for step, found in alone.items():
        assert both[step] == pytest.approx(found, rel=1e-3, abs=1e-4)
    assert saved_step(tmp_path / "both" / BEST) == saved_step(tmp_path / "output" / BEST)
