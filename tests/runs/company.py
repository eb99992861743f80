"""Several processes of one run, each with a record of what it trained on."""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from simpletuner.cli.main import run
from simpletuner.core.errors import DataError
from simpletuner.training.batches import BatchMaker
from simpletuner.training.model import TrainedModel
from simpletuner.training.parallel.shards import own

# One process imports torch, and every other is a copy of it.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["simpletuner.cli.train", "tests.runs.company"])
_PATIENCE = 180.0


@dataclass(frozen=True)
class Failure:
    """``error`` once in the process ``rank`` (None: in each), in step ``step``: where it reads pictures, in its forward
    pass (``computing``), or when its weights have moved (``moving``). Or one of these is no number then (``spoiling``).
    """

    rank: int | None
    step: int
    error: Exception = field(default=DataError("this picture went bad", file="frog.png", cure="copy it again"))
    computing: bool = False
    moving: bool = False
    spoiling: bool = False


@dataclass(frozen=True)
class Company:
    """The processes of one run in ``folder``, by rank, with the records and the words of each."""

    processes: tuple[ForkServerProcess, ...]
    folder: Path

    def wait(self, seconds: float = _PATIENCE) -> list[int | None]:
        """Their exit codes, when all have ended."""
        end = time.monotonic() + seconds
        for process in self.processes:
            process.join(max(0.0, end - time.monotonic()))
        return [process.exitcode for process in self.processes]

    def said(self, rank: int) -> str:
        """What a process has printed."""
        return (self.folder / f"rank-{rank}.txt").read_text()

    def records(self, rank: int) -> list[dict[str, Any]]:
        """Every micro-batch of a process: its step, its pictures with their visits, a digest of its noise."""
        file = self.folder / f"rank-{rank}.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def trained(self) -> dict[int, dict[str, str]]:
        """Of every step the uses that all processes together trained on, each with the digest of its noise."""
        steps: dict[int, dict[str, str]] = {}
        for rank in range(len(self.processes)):
            for record in self.records(rank):
                known = steps.setdefault(record["step"], {})
                assert not known.keys() & record["uses"].keys(), "two processes trained on one use"
                known |= record["uses"]
        return steps

    def until(self, enough: Callable[[], bool]) -> None:
        """Wait for something that they do."""
        end = time.monotonic() + _PATIENCE
        while not enough():
            assert any(process.is_alive() for process in self.processes), [self.said(0), self.said(1)]
            assert time.monotonic() < end
            time.sleep(0.01)


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def company(count: int, *words: str, fails: Failure | None = None, **environ: str) -> Iterator[Company]:
    """`simpletuner train` with ``words`` in ``count`` processes; all are gone afterwards. One of them may fail."""
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), **environ}
    folder = Path.cwd() / f"company-{len(list(Path.cwd().glob('company-*')))}"
    folder.mkdir()
    started = []
    for rank in range(count):
        variables = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count), **address}
        failure = fails if fails and fails.rank in (rank, None) else None
        arguments = (str(Path.cwd()), str(folder), variables if count > 1 else environ, words, failure)
        process = _CONTEXT.Process(target=_be, args=arguments)
        process.start()
        started.append(process)
    yield Company(tuple(started), folder)
    for process in started:
        process.kill()
        process.join()


def _be(cwd: str, folder: str, variables: dict[str, str], words: Sequence[str], fails: Failure | None) -> None:
    os.chdir(cwd)
    os.environ.update(variables)
    rank = variables.get("RANK", "0")
    torch.set_num_threads(1)
    said = os.open(f"{folder}/rank-{rank}.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(said, 1)
    os.dup2(said, 2)
    _record(Path(folder) / f"rank-{rank}.jsonl", int(variables.get("WORLD_SIZE", "1")), fails)
    sys.exit(run(["train", *words]))


def _record(file: Path, world: int, fails: Failure | None) -> None:
    """Let every batch that is made leave a line in ``file``."""
    make = BatchMaker.make
    failures = [fails] if fails else []

    def recorded(self: BatchMaker, uses: Sequence[Any], objective: Any, step: int) -> Any:
        if failures and failures[0].step == step:
            _fail(failures.pop())
        batch = make(self, uses, objective, step)
        noise = [hashlib.sha256(row.numpy().tobytes()).hexdigest()[:16] for row in batch.noise]
        named = {f"{use.sample.path}#{use.epoch}#{use.visit}": row for use, row in zip(uses, noise, strict=True)}
        with file.open("a") as opened:
            opened.write(json.dumps({"step": step, "world": world, "uses": named}) + "\n")
        return batch

    BatchMaker.make = recorded  # type: ignore[method-assign]


def _fail(failure: Failure) -> None:
    """Raise its error, or let the next forward pass or update do so."""
    if failure.moving or failure.spoiling:
        _after_moving(failure)
        return
    if not failure.computing:
        raise failure.error
    forward = TrainedModel.forward

    def failing(self: TrainedModel, *arguments: Any) -> Any:
        TrainedModel.forward = forward  # type: ignore[method-assign]
        raise failure.error

    TrainedModel.forward = failing  # type: ignore[method-assign]


def _after_moving(failure: Failure) -> None:
    def fail(optimizer: Any, *_arguments: Any) -> None:
        handle.remove()
        if failure.moving:
            raise failure.error
        own(optimizer.param_groups[0]["params"][0]).view(-1)[0] = math.nan

    handle = register_optimizer_step_post_hook(fail)
