"""Saving and going on, through the command a user types: what is kept, what is refused, and what a disk may do."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from simpletuner.core.checkpoints import list_checkpoints, problem_with
from simpletuner.core.files import sha256
from simpletuner.core.lock import LOCK
from tests.runs.conftest import Train, metrics

HOLD = """
import sys, time
from pathlib import Path
from simpletuner.core.lock import locked
with locked(Path(sys.argv[1]), print):
    print("held", flush=True)
    time.sleep(120)
"""


def present(output: Path) -> list[str]:
    return [checkpoint.path.name for checkpoint in list_checkpoints(output)]


def limited(folder: Path, before: str, *words: str) -> subprocess.CompletedProcess[str]:
    """`simpletuner train ...` in a shell that first does ``before``."""
    command = [sys.executable, "-m", "simpletuner", "train", *words]
    return subprocess.run(
        ["sh", "-c", before, "sh", *command], cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )


def require_mounts() -> None:
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("may not mount disks here; the limit of a file's size stands for it")


def test_equal_runs_end_in_equal_bytes(train: Train, tmp_path: Path) -> None:
    """Weights, average and optimizer: the safetensors library's own files would differ from run to run."""
    for folder in ("one", "two"):
        assert train(output_dir=folder) == 0
    one, two = (
        {
            path.relative_to(tmp_path / folder).as_posix(): sha256(path)
            for path in (tmp_path / folder).rglob("*")
            if path.is_file() and path.name not in ("metrics.jsonl", "report.json")
        }
        for folder in ("one", "two")
    )
    assert len(one) > 15
    assert one == two


def test_rolling_checkpoints_are_counted_apart_and_resumed_from(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    how = {
        "checkpoint_step_interval": 3,
        "checkpoints_total_limit": 2,
        "checkpointing_rolling_steps": 1,
        "checkpoints_rolling_total_limit": 2,
    }
    assert train(**how, max_train_steps=8) == 0
    output = tmp_path / "output"
    assert present(output) == ["checkpoint-6", "checkpoint-7-rolling", "checkpoint-8"], "the last is an ordinary one"
    assert all(problem_with(output / name) is None for name in present(output))
    shutil.rmtree(output / "checkpoint-8")
    (output / "checkpoint-best").mkdir()
    assert train(**how, max_train_steps=9) == 0
    shown = capsys.readouterr().out
    assert "going on from checkpoint-7-rolling: step 7 of 9" in shown
    assert "checkpoint-best is no checkpoint of this run (its name is none of ours): ignored" in shown
    assert [record["step"] for record in metrics(output)] == list(range(1, 10))
    assert present(output) == ["checkpoint-6", "checkpoint-7-rolling", "checkpoint-8-rolling", "checkpoint-9"]


def test_epoch_intervals_and_a_limit_of_one(train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three updates an epoch; the newest two stay."""
    how = {"checkpoint_step_interval": 0, "checkpoint_epoch_interval": 1, "checkpoints_total_limit": 1}
    assert train(**how, max_train_steps=9) == 0
    assert present(tmp_path / "output") == ["checkpoint-6", "checkpoint-9"]
    assert "the newest two checkpoints always stay" in capsys.readouterr().out


def test_a_run_that_goes_on_shows_the_loss_that_an_unbroken_one_shows(
    train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, stops in (("unbroken", (4,)), ("broken", (2, 4))):
        for stop in stops:
            assert train(max_train_steps=stop, output_dir=folder) == 0
    last = [line for line in capsys.readouterr().out.splitlines() if line.startswith("step 4/4")]
    unbroken, broken = (line.partition("smoothed loss ")[2].partition(",")[0] for line in last)
    assert float(unbroken) > 0
    assert broken == unbroken


def test_a_script_runs_beside_the_run(train: Train, tmp_path: Path) -> None:
    (tmp_path / "note.sh").write_text('#!/bin/sh\necho "$1 $2 $3"\nexit 1\n')
    (tmp_path / "note.sh").chmod(0o755)
    script = "./note.sh {global_step} {tracker_run_name} {model_type}"
    assert train(post_checkpoint_script=script, tracker_run_name="a; touch pwned", max_train_steps=2) == 0
    log = tmp_path / "output" / "post_checkpoint_script.log"
    end = time.monotonic() + 10
    while "lora" not in log.read_text() and time.monotonic() < end:
        time.sleep(0.05)
    assert log.read_text() == "2 a; touch pwned lora\n"
    assert not list(tmp_path.rglob("pwned"))


def test_the_second_of_two_runs_in_one_folder_is_refused(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "output"
    output.mkdir()
    with subprocess.Popen([sys.executable, "-c", HOLD, str(output)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        (output / ".checkpoint-3.partial").mkdir()
        assert train() == 3
        assert f"another run works in this folder: process {holder.pid} on " in capsys.readouterr().err
        assert (output / ".checkpoint-3.partial").is_dir(), "the other run is writing it"
        holder.kill()
    assert (output / LOCK).is_file()
    assert train(max_train_steps=1) == 0
    assert f"process {holder.pid} on " in (shown := capsys.readouterr().out)
    assert "its lock is taken over" in " ".join(shown.split())
    assert not (output / LOCK).exists()


def test_an_output_folder_that_is_renamed_ends_the_run(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "output"

    def rename() -> None:
        while not (output / "checkpoint-2").is_dir():
            time.sleep(0.01)
        output.rename(tmp_path / "renamed")

    renaming = threading.Thread(target=rename)
    renaming.start()
    code = train(max_train_steps=400)
    renaming.join()
    assert code == 3
    assert "deleted or renamed during the run" in capsys.readouterr().err
    assert present(output) == [], "nothing is saved where nobody looks for it"
    assert problem_with(tmp_path / "renamed" / "checkpoint-2") is None


@pytest.mark.parametrize(
    ("how", "file"),
    [
        pytest.param({}, "optimizer.safetensors", id="adapter"),
        pytest.param(
            {"model_type": "full", "optimizer": "torch-adamw"},
            "transformer/diffusion_pytorch_model.safetensors",
            id="all weights",
            marks=pytest.mark.long,
        ),
    ],
)
def test_a_disk_that_takes_no_more_keeps_the_former_checkpoint(
    train: Train, tmp_path: Path, how: dict[str, str], file: str
) -> None:
    """``file``, the first that is too large, is written by us or by the library of safetensors."""
    assert train(**how, max_train_steps=2) == 0
    output = tmp_path / "output"
    before = {path: sha256(path) for path in output.rglob("*") if path.is_file() and "checkpoint-2" in path.parts}
    blocks = (output / "checkpoint-2" / file).stat().st_size // 512 - 1
    words = [f"{key}={value}" for key, value in how.items()]
    ended = limited(tmp_path, f'ulimit -f {blocks}; exec "$@"', *words, "max_train_steps=8")
    assert ended.returncode == 3, ended.stderr
    assert "the disk takes no more: File too large" in ended.stderr
    assert file.partition("/")[0] in ended.stderr
    assert "Traceback" not in ended.stderr
    assert present(output) == ["checkpoint-2"]
    assert {path: sha256(path) for path in before} == before
    assert not list(output.glob(".*")), "nothing half-written, and no lock"
    assert train(**how, max_train_steps=4) == 0
    assert [record["step"] for record in metrics(output)] == [1, 2, 3, 4]


@pytest.mark.long
@pytest.mark.needs("unshare")
def test_a_full_disk_keeps_the_former_checkpoint(train: Train, tmp_path: Path) -> None:
    require_mounts()
    assert train(max_train_steps=2, output_dir="first") == 0
    size = sum(path.stat().st_size for path in (tmp_path / "first" / "checkpoint-2").rglob("*") if path.is_file())
    for name in ("output", "seen"):
        (tmp_path / name).mkdir()
    disk = f"mount -t tmpfs -o size={int(size * 1.7) // 1024}k tmpfs output"
    before = f'exec unshare -m sh -c \'{disk}; "$@"; code=$?; cp -a output/. seen; exit $code\' sh "$@"'
    ended = limited(tmp_path, before, "max_train_steps=8")
    assert ended.returncode == 3, ended.stderr
    assert "the disk takes no more: No space left on device" in ended.stderr
    assert "Traceback" not in ended.stderr
    seen = tmp_path / "seen"
    assert present(seen) == ["checkpoint-2"]
    assert problem_with(seen / "checkpoint-2") is None
    assert not list(seen.glob(".*")), "nothing half-written, and no lock"


def test_pictures_and_charts_that_cannot_be_written_stop_nothing(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files lie where their folders should."""
    (tmp_path / "output").mkdir()
    for name in ("validation_images", "benchmarks", "logs"):
        (tmp_path / "output" / name).touch()
    shown = {"validation_disable": "false", "validation_prompt": "bear", "validation_resolution": "64x64"}
    steps = {"validation_num_inference_steps": 2, "validation_step_interval": 1, "max_train_steps": 2}
    assert train(**shown, **steps, report_to="tensorboard") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert told.count("validation pictures could not be written") >= 2
    assert present(tmp_path / "output") == ["checkpoint-2"]
    assert len(metrics(tmp_path / "output")) == 2


def test_a_folder_that_cannot_be_written_ends_the_run_before_anything_is_loaded(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not even root may make folders in /sys."""
    assert train(output_dir="/sys/kernel/simpletuner") == 3
    assert "/sys/kernel/simpletuner: output_dir: cannot write here: " in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()


def test_too_little_room_ends_the_run_before_the_save(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(disk_low_threshold="9000T") == 3
    told = capsys.readouterr().err
    assert "disk_low_threshold: the disk is low" in told
    assert present(tmp_path / "output") == []
    assert len(metrics(tmp_path / "output")) == 2


ANOTHER_RUN = [
    ({"optimizer": "torch-adamw"}, ['optimizer was "adamw_bf16", is "torch-adamw"']),
    ({"use_ema": "false"}, ["use_ema was true, is false"]),
    ({"seed": 43}, ["seed was 42, is 43"]),
    ({"train_batch_size": 1}, ["datasets.flat.pictures_per_update was 2, is 1", "i_know_what_i_am_doing=true"]),
    ({"gradient_accumulation_steps": 2}, ["datasets.flat.pictures_per_update was 2, is 4"]),
    ({"caption_dropout_probability": 0.5}, ["caption_dropout_probability was 0.2, is 0.5"]),
    ({"lr_scheduler": "polynomial", "lr_end": 1e-5}, ['lr_scheduler was "constant_with_warmup", is "polynomial"']),
    ({"model_type": "full"}, ["resume_from_checkpoint: ", 'model_type was "lora", is "full"']),
    ({"lora_type": "standard"}, ["lora_rank was not set, is 16"]),
    ({"base_model_precision": "int8-quanto"}, ['base_model_precision was "no_change", is "int8-quanto"']),
]


def test_a_resume_under_another_configuration_is_refused_with_what_differs(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(max_train_steps=2) == 0
    before = {path: sha256(path) for path in (tmp_path / "output" / "checkpoint-2").rglob("*") if path.is_file()}
    for changed, told in ANOTHER_RUN:
        capsys.readouterr()
        assert train(**changed) == 3, changed
        err = capsys.readouterr().err
        assert "this checkpoint belongs to a different run" in err
        for line in told:
            assert line in err, (changed, err)
        assert max(len(line) for line in err.splitlines()) < 250, "no block is told whole"
    lycoris = tmp_path / "config" / "lycoris_config.json"
    kept = lycoris.read_text()
    for path, value in ((("apply_preset", "module_algo_map", "Attention", "factor"), 2), (("linear_alpha",), 7.0)):
        block = whole = json.loads(kept)
        for name in path[:-1]:
            block = block[name]
        former, block[path[-1]] = type(value)(block[path[-1]]), value
        lycoris.write_text(json.dumps(whole))
        assert train() == 3
        assert f"lycoris_config.{'.'.join(path)} was {former}, is {value}\n" in capsys.readouterr().err
    lycoris.write_text(kept)
    assert {path: sha256(path) for path in before} == before
    assert train(max_train_steps=3) == 0


def test_what_may_change_is_told(train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(max_train_steps=2) == 0
    capsys.readouterr()
    changed = {"learning_rate": (0.001, 0.0005), "max_grad_norm": (0.01, 0.02), "ema_decay": (0.995, 0.9)}
    options = {name: now for name, (_, now) in changed.items()}
    assert train(max_train_steps=3, checkpoint_step_interval=1, **options) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name, (was, now) in changed.items():
        assert f"from here on: {name} was {was}, is {now}" in shown
    assert "the run was planned for 2 steps, and is for 3 now" in shown
    assert shown.count("from here on:") == 3


@pytest.mark.parametrize("how", ["option", "variable"])
def test_another_batch_begins_the_epoch_again(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    assert train(max_train_steps=2) == 0
    capsys.readouterr()
    options = {"max_train_steps": 8, "train_batch_size": 1}
    if how == "variable":
        monkeypatch.setenv("SIMPLETUNER_ALLOW_MODIFYING_BSZ", "1")
    else:
        options["i_know_what_i_am_doing"] = True
    assert train(**options) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "from here on: datasets.flat.pictures_per_update was 2, is 1" in shown
    assert "the batch is not that of checkpoint-2: epoch 1 begins again" in shown
    records = metrics(tmp_path / "output")
    assert [record["step"] for record in records] == list(range(1, 9))
    assert [record["epoch"] for record in records] == [1, 1, 1, 1, 1, 1, 1, 2]
