"""SIGINT and SIGTERM in every phase of a run, and a terminal that is closed: an end that can be gone on from."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from safetensors.torch import load_file

from simpletuner.core.checkpoints import newest_verified
from simpletuner.data.cache.store import TensorStore
from tests.runs.conftest import Train, metrics
from tests.runs.data_words import dataloader, dataset, entries, folder

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
MANY = {f"{number:03}.png": (64, 64) for number in range(60)}
OUTPUT = Path("output")
# Pictures that take so long that a signal finds them being drawn.
DRAWN = {
    "validation_disable": "false",
    "validation_prompt": "a frog",
    "validation_resolution": "64",
    "validation_num_inference_steps": "300",
    "disable_benchmark": "true",
}


@dataclass(frozen=True)
class Phase:
    """When a run is in it, the options that make it so, what is said at the end, and what must hold then."""

    here: Callable[[Running], bool]
    ended: str
    holds: Callable[[], None]
    options: dict[str, str] = field(default_factory=dict)
    many: bool = False


@dataclass
class Running:
    """A run in a process group of its own, and what it has said."""

    process: subprocess.Popen[str]

    def until(self, here: Callable[[Running], bool]) -> None:
        end = time.monotonic() + 120
        while not here(self):
            assert self.process.poll() is None, self.told()
            assert time.monotonic() < end
            time.sleep(0.001)

    def ends(self) -> str:
        self.process.wait(timeout=60)
        with pytest.raises(ProcessLookupError):
            os.killpg(self.process.pid, 0)
        return self.told()

    @staticmethod
    def told() -> str:
        return Path("told").read_text()


Start = Callable[..., Running]


@pytest.fixture
def start(train: Train) -> Iterator[Start]:
    """Starts `simpletuner train` with more options, in the folder of ``train``."""
    del train
    started: list[Running] = []
    # Tests that a shell started in the background ignore SIGINT, and so would what they start.
    former = signal.signal(signal.SIGINT, signal.default_int_handler)

    def begin(**options: str) -> Running:
        words = [f"{key}={value}" for key, value in options.items()]
        with Path("told").open("w") as told:
            process = subprocess.Popen(
                [sys.executable, "-m", "simpletuner", "train", *words],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                stdout=told,
                stderr=told,
                text=True,
                start_new_session=True,
            )
        started.append(Running(process))
        return started[-1]

    yield begin
    signal.signal(signal.SIGINT, former)
    for running in started:
        running.process.kill()
        running.process.wait()


def steps() -> int:
    file = OUTPUT / "metrics.jsonl"
    return file.read_text().count("\n") if file.exists() else 0


def nothing_is_half_made() -> None:
    """Every latent is whole, and of the output folder nothing hidden is left."""
    store = TensorStore(Path("cache/vae"))
    assert None not in [store.read(key) for key in sorted(store.keys())]
    assert list(store.partials()) == []
    assert [path.name for path in OUTPUT.glob(".checkpoint-*")] == []
    assert not (OUTPUT / ".result.partial").exists()


def nothing_was_saved() -> None:
    nothing_is_half_made()
    assert list(OUTPUT.glob("checkpoint-*")) == []


def last_step_is_saved() -> None:
    nothing_is_half_made()
    newest = newest_verified(OUTPUT, lambda checkpoint, problem: pytest.fail(problem))
    assert newest is not None
    assert newest.step == metrics(OUTPUT)[-1]["step"]


def no_picture_was_finished() -> None:
    last_step_is_saved()
    assert metrics(OUTPUT)[-1]["step"] == 2
    assert list((OUTPUT / "validation_images").glob("*step_2*")) == []


def result_is_whole() -> None:
    last_step_is_saved()
    assert load_file(OUTPUT / "pytorch_lora_weights.safetensors")


GOES_ON = "the same command goes on from there"
PHASES = {
    "scanning": Phase(
        lambda running: Path("cache/vae/index-flat.sqlite").exists(),
        f"stopped before training; what is cached is kept, and {GOES_ON}",
        nothing_was_saved,
        many=True,
    ),
    "caching": Phase(
        lambda running: len(entries()) > 5,
        f"stopped before training; what is cached is kept, and {GOES_ON}",
        nothing_was_saved,
        {"vae_batch_size": "1"},
        many=True,
    ),
    "loading": Phase(
        # All latents are there, and the model is next. It loads in moments, so training may have begun.
        lambda running: "5 of 5 pictures" in running.told(),
        GOES_ON,
        nothing_is_half_made,
        {"max_train_steps": "500"},
    ),
    "training": Phase(
        lambda running: steps() >= 2,
        f"is saved, and {GOES_ON}",
        last_step_is_saved,
        {"max_train_steps": "500", "checkpoint_step_interval": "1000"},
    ),
    "validation": Phase(
        lambda running: steps() >= 2,
        f"stopped after step 2; checkpoint-2 is saved, and {GOES_ON}",
        no_picture_was_finished,
        {**DRAWN, "validation_step_interval": "2", "checkpoint_step_interval": "1000", "max_train_steps": "9"},
    ),
    "saving": Phase(
        lambda running: any(OUTPUT.glob(".checkpoint-*")),
        f"is saved, and {GOES_ON}",
        last_step_is_saved,
        {"checkpoint_step_interval": "2", "max_train_steps": "500"},
    ),
    "result": Phase(
        lambda running: (OUTPUT / "pytorch_lora_weights.safetensors").exists(),
        "stopped after training; the finished files are whole",
        result_is_whole,
        {**DRAWN, "validation_step_interval": "9", "max_train_steps": "2"},
    ),
}
SHORT = {("validation", signal.SIGINT), ("result", signal.SIGTERM)}
MATRIX = [
    pytest.param(name, number, marks=() if (name, number) in SHORT else pytest.mark.long)
    for name in PHASES
    for number in CODES
]


@pytest.mark.parametrize(("name", "number"), MATRIX)
def test_a_signal_ends_every_phase_so_that_it_can_go_on(
    start: Start, train: Train, name: str, number: signal.Signals
) -> None:
    phase = PHASES[name]
    if phase.many:
        folder("pictures", MANY)
        dataloader(dataset(crop=False))
    running = start(**phase.options)
    running.until(phase.here)
    running.process.send_signal(number)
    told = running.ends()
    assert running.process.returncode == CODES[number], told
    assert "once more ends at once" in told
    assert phase.ended in told.splitlines()[-1]
    assert "Traceback" not in told
    phase.holds()
    done = steps()
    assert train(max_train_steps=done + 1) == 0
    assert [record["step"] for record in metrics(OUTPUT)] == list(range(1, done + 2))


def test_a_terminal_that_is_closed_ends_a_run_so_that_it_can_go_on(train: Train) -> None:
    def takes_the_terminal() -> None:
        # Whoever started the tests may ignore it.
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    ours, its = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "simpletuner", "train", "max_train_steps=500", "checkpoint_step_interval=1000"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
        preexec_fn=takes_the_terminal,  # noqa: PLW1509  (two calls of the system)
    ) as process:
        os.close(its)
        os.set_blocking(ours, False)
        end = time.monotonic() + 120
        while steps() < 2 and time.monotonic() < end:
            # Nobody reads what a full terminal shows, and the run would wait.
            with suppress(BlockingIOError):
                os.read(ours, 1 << 16)
            time.sleep(0.01)
        os.close(ours)
        process.wait(timeout=60)
    # The shell that would be told how it ended is gone, too.
    last_step_is_saved()
    done = steps()
    assert 2 <= done < 500
    assert train(max_train_steps=done + 1) == 0
    assert [record["step"] for record in metrics(OUTPUT)] == list(range(1, done + 2))


def test_a_second_signal_ends_at_once_and_a_pause_does_no_harm(start: Start) -> None:
    running = start(max_train_steps="500", checkpoint_step_interval="2", **DRAWN, validation_step_interval="3")
    running.until(lambda running: (OUTPUT / "checkpoint-2").exists() and steps() >= 3)
    running.process.send_signal(signal.SIGSTOP)
    time.sleep(1.0)
    assert running.process.poll() is None
    running.process.send_signal(signal.SIGCONT)
    running.process.send_signal(signal.SIGTERM)
    running.until(lambda running: "once more ends at once" in running.told())
    running.process.send_signal(signal.SIGTERM)
    told = running.ends()
    # The first one may have ended it in the meantime: an Euler step is short.
    assert running.process.returncode in (-signal.SIGTERM, 143), told
    assert "Traceback" not in told
    newest = newest_verified(OUTPUT, lambda checkpoint, problem: pytest.fail(problem))
    assert newest is not None
    assert newest.step in (2, 3)


@pytest.mark.long
def test_a_stopped_and_continued_run_ends_as_if_nothing_had_been(start: Start) -> None:
    running = start(max_train_steps="6", checkpoint_step_interval="3")
    running.until(lambda running: steps() >= 2)
    running.process.send_signal(signal.SIGSTOP)
    time.sleep(5.0)
    running.process.send_signal(signal.SIGCONT)
    told = running.ends()
    assert running.process.returncode == 0, told
    assert [record["step"] for record in metrics(OUTPUT)] == [1, 2, 3, 4, 5, 6]
