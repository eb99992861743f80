from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from simpletuner.observe.publish.job import Answer, Job, hub_command, pause_after, read_answer, read_job, time_for


def test_a_job_and_its_answer_survive_a_pipe() -> None:
    job = Job("store", "runs/fox", "/somewhere\nodd", ("a", "b/c"), {"secret_key": "s"}, 7.5)
    assert read_job(job.as_line()) == job
    assert job.as_line().count("\n") == 1
    answer = Answer("refused", "because", "there")
    assert read_answer(answer.as_line()) == answer


@pytest.mark.parametrize("line", ["", "Killed\n", "[1]\n", '{"outcome": "done", "odd": 1}\n'])
def test_what_is_no_answer_is_told(line: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_answer(line)


def test_no_secret_is_shown() -> None:
    assert "canary" not in repr(Job("store", "x", facts={"secret_key": "canary"}))


def test_patience_grows_with_the_size_and_with_each_try() -> None:
    assert time_for(0) < time_for(1_000_000_000)
    assert pause_after(1) < pause_after(2)


def test_the_command_is_what_a_shell_takes() -> None:
    command = hub_command("fox/x", Path("my output/hub"), private=True)
    assert shlex.split(command) == ["hf", "upload", "fox/x", "my output/hub", ".", "--private"]
    assert "--private" not in hub_command("fox/x", Path("hub"), private=False)
