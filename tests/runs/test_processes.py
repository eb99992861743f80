"""Training in several processes: the same pictures, noise and loss however many there are, and one ending for all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch

from simpletuner.core.checkpoints import list_checkpoints, problem_with
from simpletuner.core.errors import NonFiniteError
from simpletuner.core.files import sha256
from tests.runs.company import Company, Failure, company, free_port
from tests.runs.conftest import DATASETS, Train, metrics

pytestmark = pytest.mark.two_ranks

SLICES = {1: 6, 2: 3, 3: 2}
"""The micro-batch of each of so many processes, when six pictures make an update."""
PARTS = ("fsdp_enable=true", "num_processes=2")
"""Processes that hold one model together wait for each other inside of every pass."""
HOW = pytest.mark.parametrize("how", [pytest.param((), id="whole"), pytest.param(PARTS, id="parts")])
NO_NUMBER = NonFiniteError("flat/frog.png: the VAE gives a non-finite latent", files=("flat/frog.png",), cure="fp32")
NO_MEMORY = torch.OutOfMemoryError("CUDA out of memory.")
PICTURES = ("cactus.png", "frog.png", "pizza.png", "red_apple.png", "rocket.png")


@pytest.fixture(autouse=True)
def here(train: Train) -> None:
    """Five pictures, each used twice in an epoch: an update of six, and one of four."""
    Path("config/multidatabackend.json").write_text(json.dumps([DATASETS[0] | {"repeats": 1}]))


def six(count: int, steps: int, *words: str) -> Company:
    """A whole run up to ``steps`` in ``count`` processes, six pictures an update."""
    with company(count, f"train_batch_size={SLICES[count]}", f"max_train_steps={steps}", *words) as made:
        assert made.wait() == [0] * count, made.said(0)
    return made


def losses(output: str) -> list[float]:
    return [float(str(record["train_loss"])) for record in metrics(Path(output))]


def present(output: str = "output") -> list[str]:
    return [checkpoint.path.name for checkpoint in list_checkpoints(Path(output))]


def state(folder: str) -> dict[str, str]:
    """The digest of every file that a resume reads, but for the one that says where it stands."""
    return {str(path.relative_to(folder)): sha256(path) for path in sorted(Path(folder).rglob("*.safetensors"))}


def test_one_global_batch_is_the_same_on_one_two_and_three() -> None:
    runs = {count: six(count, 3, f"output_dir=on-{count}") for count in SLICES}
    for count, made in runs.items():
        assert {record["world"] for rank in range(count) for record in made.records(rank)} == {count}
        assert made.trained() == runs[1].trained()
        assert losses(f"on-{count}") == pytest.approx(losses("on-1"), rel=1e-5)
        norms = [record["grad_norm"] for record in metrics(Path(f"on-{count}"))]
        assert norms == pytest.approx([record["grad_norm"] for record in metrics(Path("on-1"))], rel=1e-4)
    assert [len(uses) for uses in runs[3].trained().values()] == [6, 4, 6]
    # The first says everything, once.
    assert runs[3].said(0).count("checkpoint saved in checkpoint-2") == 1
    assert runs[3].said(1) == runs[3].said(2) == ""


def test_another_number_of_processes_goes_on_with_the_same_pictures() -> None:
    unbroken = six(1, 4, "output_dir=unbroken").trained()
    turns = ((1, 1), (2, 3), (1, 4))
    parts = [six(count, steps, "checkpoint_step_interval=1").trained() for count, steps in turns]
    assert {step: uses for part in parts for step, uses in part.items()} == unbroken
    assert [sorted(part) for part in parts] == [[1], [2, 3], [4]]
    assert losses("output") == pytest.approx(losses("unbroken"), rel=1e-4)
    counted = Counter(use.split("#")[0] for step in (1, 2) for part in parts for use in part.get(step, {}))
    assert counted == dict.fromkeys(PICTURES, 2)


def test_a_resumed_run_of_two_equals_the_unbroken_one_to_the_bit() -> None:
    six(2, 4, "output_dir=unbroken")
    six(2, 2)
    resumed = six(2, 4)
    assert state("output/checkpoint-4") == state("unbroken/checkpoint-4")
    assert len(state("output/checkpoint-4")) == 4
    assert sorted(resumed.trained()) == [3, 4]
    assert metrics(Path("output"))[2]["resumed_from"] == "checkpoint-2"


def running(*words: str, at: int = 2) -> Iterator[Company]:
    """Two processes in the middle of a long run, after step ``at``."""
    with company(2, "train_batch_size=1", "max_train_steps=500", "checkpoint_step_interval=2", *words) as made:
        made.until(lambda: len(made.records(0)) > at and len(present()) > 0)
        yield made


@pytest.mark.parametrize("how", [(), pytest.param(PARTS, marks=pytest.mark.long, id="parts")])
def test_sigterm_to_one_ends_both_after_one_step_with_one_checkpoint(how: tuple[str, ...]) -> None:
    for made in running("checkpoint_step_interval=3", *how):
        os.kill(made.processes[1].pid or 0, signal.SIGTERM)
        assert made.wait() == [143, 143], made.said(0) + made.said(1)
    last = len(metrics(Path("output")))
    assert present()[-1] == f"checkpoint-{last}"
    assert {max(record["step"] for record in made.records(rank)) for rank in (0, 1)} == {last}
    assert f"stopped after step {last}" in made.said(0) + made.said(1)


@HOW
@pytest.mark.parametrize("rank", [1, pytest.param(0, marks=pytest.mark.long)])
def test_one_is_killed_and_the_other_ends_with_whole_checkpoints(rank: int, how: tuple[str, ...]) -> None:
    for made in running(*how):
        began = time.monotonic()
        made.processes[rank].kill()
        codes = made.wait(60)
    assert time.monotonic() - began < 60
    assert codes[rank] == -signal.SIGKILL
    assert codes[1 - rank] == 1
    assert "another process of this run is gone" in made.said(1 - rank)
    assert "Traceback" not in made.said(1 - rank)
    assert [problem_with(checkpoint.path) for checkpoint in list_checkpoints(Path("output"))] == [None] * len(present())


def failing(failure: Failure, codes: list[int], *words: str) -> str:
    """What two processes say, one of which fails."""
    with company(2, "train_batch_size=1", "max_train_steps=6", *words, fails=failure) as made:
        assert made.wait(90) == codes, made.said(0) + made.said(1)
    said = made.said(0) + made.said(1)
    assert "Traceback" not in said
    assert said.count("error: ") == any(codes), said
    return said


@HOW
@pytest.mark.parametrize("rank", [1, pytest.param(0, marks=pytest.mark.long)])
def test_what_fails_in_one_ends_both_is_saved_and_is_told_once(rank: int, how: tuple[str, ...]) -> None:
    said = failing(Failure(rank, 4), [3, 3], *how)
    assert "error: frog.png: this picture went bad" in said
    assert present() == ["checkpoint-2", "checkpoint-3"]


@HOW
def test_what_fails_in_both_at_once_is_saved_too(how: tuple[str, ...]) -> None:
    said = failing(Failure(None, 4, NO_MEMORY), [4, 4], *how)
    assert "do not fit into memory: CUDA out of memory." in said
    assert present() == ["checkpoint-2", "checkpoint-3"]


@pytest.mark.parametrize("rank", [1, pytest.param(0, marks=pytest.mark.long)])
def test_what_fails_inside_of_a_common_pass_ends_both_at_once(rank: int) -> None:
    said = failing(Failure(rank, 4, NO_MEMORY, computing=True), [4, 4], *PARTS)
    assert 'error: 1 of data set "flat", bucket 1.0 do not fit into memory: CUDA out of memory.' in said
    # Nothing can be exchanged any more, and a save would need it.
    assert present() == ["checkpoint-2"]


@pytest.mark.parametrize("how", [(), pytest.param(PARTS, marks=pytest.mark.long, id="parts")])
@pytest.mark.parametrize("rank", [1, pytest.param(0, marks=pytest.mark.long)])
def test_what_fails_while_weights_move_ends_both_and_saves_nothing(rank: int, how: tuple[str, ...]) -> None:
    said = failing(Failure(rank, 4, NO_MEMORY, moving=True), [4, 4], *how)
    assert "CUDA out of memory." in said
    assert present() == ["checkpoint-2"]


@pytest.mark.long
@HOW
def test_weights_that_an_update_spoiled_in_one_go_back_in_both(how: tuple[str, ...]) -> None:
    said = failing(Failure(1, 4, spoiling=True), [0, 0], "skip_non_finite_updates=1", *how)
    assert "update 4 left a weight of another process not finite" in said
    assert "back to checkpoint-2, and on without update 4" in said
    assert [record.get("skipped_update") for record in metrics(Path("output"))] == [None] * 3 + [1.0] + [None] * 2
    # Each save compares the weights of both.
    assert present() == ["checkpoint-2", "checkpoint-4", "checkpoint-6"]


@pytest.mark.long
@HOW
def test_what_fails_in_an_evaluation_ends_both(how: tuple[str, ...]) -> None:
    held = DATASETS[0] | {"id": "held", "dataset_type": "eval", "cache_dir_vae": "cache/held"}
    held["instance_data_dir"] = str(shutil.copytree("pictures", "held"))
    Path("config/multidatabackend.json").write_text(json.dumps([DATASETS[0], held]))
    # The base model is evaluated before the first step.
    said = failing(Failure(1, 1), [3, 3], "eval_steps_interval=2", "eval_timesteps=2", *how)
    assert "error: frog.png: this picture went bad" in said
    assert present() == []


@pytest.mark.long
def test_a_mistake_of_ours_inside_of_a_common_pass_ends_both() -> None:
    failure = Failure(1, 4, RuntimeError("a kernel broke"), computing=True)
    with company(2, "train_batch_size=1", "max_train_steps=6", *PARTS, fails=failure) as made:
        assert made.wait(90) == [1, 1], made.said(0) + made.said(1)
    assert made.said(1).rstrip().endswith("RuntimeError: a kernel broke")
    assert "Traceback" not in made.said(0)
    assert present() == ["checkpoint-2"]


@pytest.mark.long
@pytest.mark.parametrize("rank", [0, 1])
def test_memory_that_runs_out_in_one_is_told_by_the_first(rank: int) -> None:
    six(2, 3, "output_dir=usual")
    with company(
        2, "train_batch_size=3", "max_train_steps=3", fails=Failure(rank, 2, NO_MEMORY, computing=True)
    ) as made:
        assert made.wait() == [0, 0], made.said(0) + made.said(1)
    where = "process 1: " if rank else ""
    assert f'{where}data set "flat", bucket 1.0: 2 pictures at once do not fit into memory; 1 at once' in made.said(0)
    assert made.said(1) == ""
    assert losses("output") == pytest.approx(losses("usual"), rel=1e-5)


@HOW
def test_a_latent_without_a_number_in_one_is_left_out_in_both_and_named(how: tuple[str, ...]) -> None:
    said = failing(Failure(1, 4, NO_NUMBER), [0, 0], "skip_non_finite_updates=1", *how)
    assert "update 4 is left out: flat/frog.png: the VAE gives a non-finite latent (1 of at most 1)" in said
    assert [record.get("skipped_update") for record in metrics(Path("output"))] == [None] * 3 + [1.0] + [None] * 2
    assert present() == ["checkpoint-2", "checkpoint-4", "checkpoint-6"]


@pytest.mark.long
@HOW
@pytest.mark.parametrize("rank", [0, 1])
def test_a_latent_without_a_number_ends_both_and_is_named_once(rank: int, how: tuple[str, ...]) -> None:
    said = failing(Failure(rank, 4, NO_NUMBER), [6, 6], *how)
    assert "error: flat/frog.png: the VAE gives a non-finite latent\n  cure: fp32" in said
    assert present() == ["checkpoint-2"]


@pytest.mark.long
def test_gradients_wider_than_their_weights_count_as_zero_where_there_are_none() -> None:
    Path("config/multidatabackend.json").write_text(json.dumps(DATASETS))
    narrow = ("base_model_default_dtype=bf16", "mixed_precision=bf16", "lora_type=standard", "gradient_precision=fp32")
    words = ("max_train_steps=3", *narrow)
    for count, batch in ((1, 2), (2, 1)):
        with company(count, f"train_batch_size={batch}", f"output_dir=on-{count}", *words) as made:
            assert made.wait() == [0] * count, made.said(0)
    assert sorted(len(uses) for uses in made.trained().values()) == [1, 2, 2]
    assert losses("on-2") == pytest.approx(losses("on-1"), rel=1e-2)


def launched(*words: str) -> subprocess.Popen[str]:
    """`simpletuner train num_processes=2`, as a user starts it."""
    return subprocess.Popen(
        [sys.executable, "-m", "simpletuner", "train", "num_processes=2", "train_batch_size=1", *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def in_training() -> subprocess.Popen[str]:
    """A run that the command has started, after its second step."""
    process = launched("max_train_steps=500", "checkpoint_step_interval=500")
    end = time.monotonic() + 120
    while not Path("output/metrics.jsonl").exists() or len(metrics(Path("output"))) < 2:
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            raise AssertionError(process.communicate()[0])
        time.sleep(0.05)
    return process


def test_the_command_starts_them_passes_signals_on_and_ends_as_they_do() -> None:
    process = in_training()
    process.terminate()
    said, _ = process.communicate(timeout=90)
    assert process.returncode == 143, said
    assert "starting 2 processes" in said
    assert said.count("stopped after step") == 1, said
    assert present() == [f"checkpoint-{len(metrics(Path('output')))}"]


@pytest.mark.long
def test_the_command_ends_with_the_code_of_what_failed() -> None:
    for path in Path("pictures").iterdir():
        path.write_bytes(b"")
    said, _ = (process := launched()).communicate(timeout=120)
    assert process.returncode == 3
    assert said.count("error: ") == 1, said


@pytest.mark.long
def test_they_end_in_good_order_when_their_launcher_is_killed() -> None:
    process = in_training()
    process.kill()
    process.communicate(timeout=90)
    assert present() == [f"checkpoint-{len(metrics(Path('output')))}"]


@pytest.mark.long
def test_others_wait_for_pictures_longer_than_an_exchange_may_take() -> None:
    draw = "validation_disable=false validation_prompt=frog validation_resolution=128 validation_num_inference_steps=60"
    words = ("train_batch_size=1", "max_train_steps=2", "validation_step_interval=1", *draw.split())
    with company(2, *words, SIMPLETUNER_PROCESS_GROUP_TIMEOUT_SECONDS="2") as made:
        assert made.wait() == [0, 0], made.said(0) + made.said(1)
    pictures = {path.name for path in Path("output/validation_images").iterdir()}
    assert len([name for name in pictures if "frog" in name or "validation" in name]) >= 2, pictures


@pytest.mark.long
def test_torchrun_starts_them_as_well() -> None:
    words = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "simpletuner", "train"]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "ACCELERATE_USE_CPU": "true"}
    said = subprocess.run(
        [sys.executable, "-m", *words, "train_batch_size=1"],
        env=environ,
        check=True,
        capture_output=True,
        text=True,
        timeout=180,
    ).stdout
    assert said.count("completed: 4 steps") == 1
    assert present() == ["checkpoint-2", "checkpoint-4"]


def two_machines(*start: Sequence[str]) -> None:
    """Two machines on one computer, each with one process of the run that ``start`` gives its words."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "ACCELERATE_USE_CPU": "true"}
    machines = [
        subprocess.Popen([sys.executable, "-m", *words], env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for words in start
    ]
    said = [machine.communicate(timeout=180)[0].decode() for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], said
    assert [words.count("completed: 3 steps") for words in said] == [1, 0], said


@pytest.mark.long
@pytest.mark.parametrize("launcher", ["simpletuner", "torchrun"])
def test_two_machines_train_what_one_machine_with_two_processes_trains(launcher: str) -> None:
    six(2, 3, "output_dir=one")
    port = str(free_port())
    run = ["simpletuner", "train", "train_batch_size=3", "max_train_steps=3", "output_dir=two"]
    ours = f"num_processes=2 num_machines=2 main_process_ip=localhost main_process_port={port}".split()
    theirs = f"torch.distributed.run --nnodes 2 --nproc-per-node 1 --master-addr 127.0.0.1 --master-port {port}".split()
    if launcher == "torchrun":
        two_machines(*([*theirs, "--node-rank", rank, "-m", *run] for rank in "01"))
    else:
        two_machines(*([*run, *ours, f"machine_rank={rank}"] for rank in "01"))
    assert losses("two") == losses("one")
    assert state("two/checkpoint-2") == state("one/checkpoint-2")
