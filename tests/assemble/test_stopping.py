"""A signal is remembered, obeyed where nothing is half-made, and by every process after the same update."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest

from simpletuner.assemble.stopping import Phase, StopAction, Stopping
from simpletuner.core.errors import Interrupted, SimpletunerError, Terminated
from simpletuner.core.events import Event, Notice, StageProgress
from simpletuner.core.foot import Foot
from simpletuner.core.progress import Progress
from simpletuner.training.parallel.replicas import Replicas

BOTH = [(signal.SIGINT, Interrupted, 130), (signal.SIGTERM, Terminated, 143)]


@pytest.fixture
def stopping() -> Iterator[Stopping]:
    """Listens until the test is over."""
    # Tests that a shell started in the background ignore SIGINT.
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    made = Stopping()
    with made.listening():
        yield made
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, former)


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "kind", "code"), BOTH)
def test_a_signal_waits_for_a_safe_place(
    stopping: Stopping, number: signal.Signals, kind: type[SimpletunerError], code: int
) -> None:
    stopping.check()
    assert not stopping.asked
    send(number)
    assert stopping.asked
    with pytest.raises(kind, match="stopped before training; what is cached is kept") as caught:
        stopping.check()
    assert caught.value.exit_code == code


def test_among_others_a_signal_waits_unless_they_do_nothing_but_wait(stopping: Stopping) -> None:
    stopping.together = True
    send(signal.SIGTERM)
    stopping.check()
    with pytest.raises(Terminated), stopping.alone():
        stopping.check()
    assert stopping.together


def test_a_lost_terminal_counts_as_sigterm_however_often_it_is_told(stopping: Stopping) -> None:
    for _ in range(3):
        send(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    with pytest.raises(Terminated):
        stopping.check()


def test_a_run_that_nohup_started_hears_nothing_of_its_terminal() -> None:
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stopping = Stopping()
    with stopping.listening():
        send(signal.SIGHUP)
    signal.signal(signal.SIGHUP, former)
    assert not stopping.asked


def test_what_is_said_at_once_is_what_the_run_is_doing(stopping: Stopping, capfd: pytest.CaptureFixture[str]) -> None:
    stopping.phase = Phase.TRAINING
    send(signal.SIGTERM)
    assert capfd.readouterr().err == "\nfinishing this step, then saving; once more ends at once\n"


def test_a_terminal_that_draws_bars_is_told_through_its_foot(capfd: pytest.CaptureFixture[str]) -> None:
    foot = Foot()
    with Stopping(foot).listening():
        foot.shown = True
        send(signal.SIGTERM)
    assert foot.text == "ending; once more ends at once"
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_after_the_first_signal_the_next_one_has_its_usual_effect(stopping: Stopping, number: signal.Signals) -> None:
    send(number)
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == [signal.SIG_DFL, signal.SIG_DFL]


@pytest.mark.parametrize(("number", "kind", "code"), BOTH)
def test_loading_ends_at_once_without_a_trace(number: signal.Signals, kind: type[SimpletunerError], code: int) -> None:
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    made = Stopping()
    began = time.monotonic()
    with pytest.raises(kind, match="stopped before training") as caught, made.listening(), made.anywhere():
        send(number)
        time.sleep(60)
    signal.signal(signal.SIGINT, former)
    assert time.monotonic() - began < 30
    assert caught.value.exit_code == code
    assert caught.value.__suppress_context__


def test_a_library_that_goes_on_after_every_error_does_not_hold_it_up() -> None:
    made = Stopping()
    tried = 0
    with pytest.raises(Terminated), made.listening(), made.anywhere():
        for _ in range(2):
            tried += 1
            with suppress(Exception):  # as libraries do
                send(signal.SIGTERM)
    assert tried == 1


def test_before_and_after_such_a_block_a_signal_counts_too(stopping: Stopping) -> None:
    send(signal.SIGTERM)
    with pytest.raises(Terminated), stopping.anywhere():
        pytest.fail("nothing is begun that will not be finished")


def test_an_ear_hears_first_and_ends_only_where_a_stage_moved_on(stopping: Stopping) -> None:
    heard: list[Event] = []
    ear = stopping.ear(heard.append)
    progress = StageProgress("validation", "a cat", 1, 30)
    ear(progress)
    send(signal.SIGINT)
    ear(Notice("in the middle of something"))
    with pytest.raises(Interrupted):
        ear(progress)
    assert heard == [progress, Notice("in the middle of something"), progress]


@dataclass(frozen=True)
class Two(Replicas):
    """Two processes, as far as this one can see: what it is told the other one says."""

    other: bool = False

    @property
    def count(self) -> int:
        return 2

    def any(self, flag: bool) -> bool:
        return flag or self.other


@pytest.mark.parametrize(("here", "there"), [(True, False), (False, True), (True, True)])
def test_all_processes_end_after_the_same_update(stopping: Stopping, here: bool, there: bool) -> None:
    stopping.phase, stopping.together = Phase.TRAINING, True
    action = StopAction(stopping, Two(None, other=there))  # type: ignore[arg-type]
    if here:
        send(signal.SIGTERM)
    # Not at an Euler step: the other process would wait for this one.
    stopping.ear(lambda event: None)(StageProgress("validation", "a cat", 1, 30))
    with pytest.raises(Terminated):
        action.after_update(Progress(step=1), epoch_ended=False)


def test_without_a_signal_nothing_ends(stopping: Stopping) -> None:
    StopAction(stopping, Two(None, other=False)).after_update(Progress(step=1), epoch_ended=False)  # type: ignore[arg-type]
    with stopping.anywhere():
        pass
    assert not stopping.asked
