"""Runs in processes of their own, forked from one that has imported torch; they tell each step, and can be killed."""

from __future__ import annotations

import functools
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from simpletuner.assemble import parts
from simpletuner.assemble.training import actions as saving
from simpletuner.cli.main import run
from simpletuner.training import loop
from simpletuner.training.checkpoint import Saver
from simpletuner.training.update import Engine, Outcome
from simpletuner.validation.validator import Validator

# One process imports torch, and every run is a copy of it: a run costs what it does.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["simpletuner.cli.train", "tests.runs.crashing"])

CACHING, STEP, SAVING, PRUNING, FINISHING, DRAWING = "caching", "step", "saving", "pruning", "finishing", "drawing"


@dataclass(frozen=True)
class Mark:
    """A run entered a phase, or left it, ``at`` a time; a step tells what it did when it is left."""

    at: float
    phase: str
    is_begin: bool
    step: int = 0
    did: str = ""


@dataclass(frozen=True)
class Aim:
    """A kill ``seconds`` after a run has begun ``phase`` for the ``number``-th time (from 0)."""

    phase: str
    number: int
    seconds: float


@dataclass(frozen=True)
class Story:
    """What became of a run: its exit code (-9: killed), and what it did until then."""

    code: int
    marks: tuple[Mark, ...]

    @property
    def is_killed(self) -> bool:
        """Whether the kill came before the end."""
        return self.code == -signal.SIGKILL

    @property
    def last_phase(self) -> str:
        """Where the run was when it ended: the innermost phase that it had not left."""
        opened: list[str] = []
        for mark in self.marks:
            opened = [*opened, mark.phase] if mark.is_begin else opened[:-1]
        return opened[-1] if opened else ""

    @property
    def begun(self) -> list[int]:
        """The steps that were begun, in order."""
        return [mark.step for mark in self.marks if mark.phase == STEP and mark.is_begin]

    def used_in(self, epoch: int) -> list[str]:
        """The pictures that the finished steps used in ``epoch`` (from 0), in order."""
        words = [word.split("#") for did in self.done.values() for word in did.split(" ") if "#" in word]
        return [use[0] for use in words if use[1] == str(epoch)]

    @property
    def done(self) -> dict[int, str]:
        """What each finished step was made of and gave: pictures with their visits, loss and rate to the bit."""
        return {mark.step: mark.did for mark in self.marks if mark.phase == STEP and not mark.is_begin}

    def lasting(self, phase: str) -> list[float]:
        """How long each stay in ``phase`` was, in seconds."""
        begun = [mark.at for mark in self.marks if mark.phase == phase and mark.is_begin]
        ended = [mark.at for mark in self.marks if mark.phase == phase and not mark.is_begin]
        return [end - begin for begin, end in zip(begun, ended, strict=True)]


def play(folder: Path, *words: str, aim: Aim | None = None, stop_in: int | None = None) -> Story:
    """`simpletuner train` with ``words`` in ``folder``, killed at ``aim``, or asked to stop during step ``stop_in``."""
    reader, writer = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_be, args=(str(folder), words, writer, stop_in))
    process.start()
    writer.close()
    marks: list[Mark] = []
    for mark in _heard(reader):
        marks.append(mark)
        if aim is not None and _is_there(aim, marks):
            time.sleep(aim.seconds)
            process.kill()
    process.join()
    assert process.exitcode is not None
    return Story(process.exitcode, tuple(marks))


def _heard(reader: Connection) -> Iterator[Mark]:
    try:
        while reader.poll(120):
            yield Mark(*json.loads(reader.recv_bytes()))
    except EOFError:
        return
    raise TimeoutError("a run says nothing any more")


def _is_there(aim: Aim, marks: Sequence[Mark]) -> bool:
    begun = [mark for mark in marks if mark.phase == aim.phase and mark.is_begin]
    return marks[-1].is_begin and marks[-1].phase == aim.phase and len(begun) == aim.number + 1


def _be(folder: str, words: Sequence[str], writer: Connection, stop_in: int | None) -> None:
    os.chdir(folder)
    torch.set_num_threads(1)
    told = os.open("told", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(told, 1)
    os.dup2(told, 2)
    _tell_phases(writer, stop_in)
    sys.exit(run(["train", *words]))


def _tell_phases(writer: Connection, stop_in: int | None) -> None:
    """Let the functions that make the phases of a run say when they begin and end."""

    @contextmanager
    def phase(name: str) -> Iterator[None]:
        say(name, is_begin=True)
        yield
        say(name, is_begin=False)

    def say(name: str, *, is_begin: bool, step: int = 0, did: str = "") -> None:
        # One write below PIPE_BUF: a kill leaves the whole line or none of it.
        writer.send_bytes(json.dumps([time.monotonic(), name, is_begin, step, did]).encode())

    def told(function: Callable[..., Any], name: str) -> Callable[..., Any]:
        @functools.wraps(function)
        def telling(*args: Any, **kwargs: Any) -> Any:
            with phase(name):
                return function(*args, **kwargs)

        return telling

    apply_update = loop.apply_update

    def updated(engine: Engine, update: Any, step: int) -> Outcome:
        say(STEP, is_begin=True, step=step)
        if step == stop_in:
            os.kill(os.getpid(), signal.SIGTERM)
        outcome = apply_update(engine, update, step)
        say(STEP, is_begin=False, step=step, did=_facts(update, outcome))
        return outcome

    loop.apply_update = updated
    parts.prepare_data = told(parts.prepare_data, CACHING)
    saving.prune = told(saving.prune, PRUNING)
    saving.CheckpointAction._write = told(saving.CheckpointAction._write, SAVING)  # type: ignore[method-assign]
    Saver.finish = told(Saver.finish, FINISHING)  # type: ignore[method-assign]
    Validator._draw = told(Validator._draw, DRAWING)  # type: ignore[method-assign]


def _facts(update: Any, outcome: Outcome) -> str:
    uses = [f"{use.sample}#{use.epoch}#{use.visit}#{use.position}" for use in update.uses]
    numbers = (outcome.loss, outcome.rate, outcome.size.norm)
    return " ".join([*uses, *(number.hex() for number in numbers)])
