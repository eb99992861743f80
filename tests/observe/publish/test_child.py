"""How often a job is tried, and what it ends in."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from simpletuner.core.errors import ConfigError
from simpletuner.observe.publish.child import Door, done
from simpletuner.observe.publish.job import Answer, Job

JOB = Job("hub", "fox/x")


class _Passing(OSError):
    """May be over in a moment."""


class _Final(OSError):
    """Will not."""


def door(*ends: Exception | None) -> tuple[Door, list[int]]:
    """A door whose n-th use ends so, and its uses."""
    used: list[int] = []

    def act(_job: Job) -> Answer:
        used.append(len(used))
        error = ends[len(used) - 1]
        if error is not None:
            raise error
        return Answer("done", where="there")

    def refusal(error: Exception) -> str | None:
        return "it is not wanted" if isinstance(error, _Final) else None

    acts: dict[str, Callable[[Job], Answer]] = {"hub": act, "login": act}
    return Door(acts, (OSError,), refusal, lambda _error: "no luck"), used


def ended(*ends: Exception | None, job: Job = JOB) -> tuple[Answer, int, list[float]]:
    made, used = door(*ends)
    waits: list[float] = []
    return done(job, made, waits.append), len(used), waits


def test_what_passes_is_tried_again_and_waited_for_longer() -> None:
    assert ended(_Passing(), _Passing(), None) == (Answer("done", where="there"), 3, [1.0, 3.0])


def test_three_tries_are_enough() -> None:
    assert ended(*[_Passing()] * 4) == (Answer("unreachable", "no luck, 3 times"), 3, [1.0, 3.0])


def test_a_refusal_is_told_at_once() -> None:
    assert ended(_Final(), None) == (Answer("refused", "it is not wanted"), 1, [])
    assert ended(ConfigError("no package", cure="install it"), None)[0].outcome == "refused"


def test_a_login_is_tried_once() -> None:
    assert ended(_Passing(), None, job=Job("login", "x")) == (Answer("unreachable", "no luck"), 1, [])


def test_a_bug_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        ended(ZeroDivisionError())
