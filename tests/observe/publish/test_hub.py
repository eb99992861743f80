"""The door to the hub, through huggingface_hub itself, in the process that a run starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from simpletuner.observe.publish.courier import Courier
from simpletuner.observe.publish.hub import mishap, refusal
from simpletuner.observe.publish.job import Answer, Job, read_answer
from tests.observe.publish.hub_server import OWNER, TOKEN, Hub, Repository

FILES = {"README.md": b"---\nlicense: mit\n---\n", "ema/x.safetensors": b"1" * 70_000, "x.safetensors": b"2" * 70_000}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        (tmp_path / "up" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "up" / name).write_bytes(content)
    return tmp_path / "up"


def job(folder: Path, *, private: bool = True, seconds: float = 60.0) -> Job:
    facts = {"private": str(private).lower(), "message": "step 4", "description": "Data: flat."}
    return Job("hub", f"{OWNER}/x", str(folder), facts=facts, seconds=seconds)


def sent(courier: Courier, job: Job) -> Answer:
    answer = courier.wait(courier.send(job), lambda: False)
    assert answer is not None
    return answer


def test_every_byte_arrives_in_one_commit(courier: Courier, hub: Hub, folder: Path) -> None:
    assert sent(courier, job(folder)) == Answer("done", where=f"{hub.endpoint}/{OWNER}/x")
    repository = hub.repositories[f"{OWNER}/x"]
    assert (repository.files, repository.private) == (FILES, True)
    assert repository.commits == [{"summary": "step 4", "description": "Data: flat."}]
    # The address that a large file is put to is its own permission.
    assert hub.tokens <= {TOKEN, ""}


@pytest.mark.long
def test_a_server_that_recovers_costs_a_try(courier: Courier, hub: Hub, folder: Path) -> None:
    hub.answers["commit"] = [500, 0]
    assert sent(courier, job(folder)).outcome == "done"
    assert hub.asked.count("commit") == 3
    assert hub.repositories[f"{OWNER}/x"].files == FILES


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_is_told_at_once(courier: Courier, hub: Hub, folder: Path, status: int) -> None:
    hub.answers["create"] = [status]
    answer = sent(courier, job(folder))
    assert answer.outcome == "refused"
    assert str(status) in answer.reason
    assert TOKEN not in answer.reason
    assert hub.asked[0] == "create"
    assert hub.asked.count("create") == 1
    assert not hub.repositories


@pytest.mark.long
def test_a_repository_that_was_public_is_told(courier: Courier, hub: Hub, folder: Path) -> None:
    hub.repositories[f"{OWNER}/x"] = Repository(private=False)
    answer = sent(courier, job(folder))
    assert answer.outcome == "done"
    assert "is public" in answer.reason
    assert sent(courier, job(folder, private=False)).reason == ""


@pytest.mark.long
def test_a_hub_that_hangs_is_given_up_in_time(courier: Courier, hub: Hub, folder: Path) -> None:
    hub.answers["commit"] = [-1]
    began = time.monotonic()
    answer = sent(courier, job(folder, seconds=3.0))
    assert answer == Answer("unreachable", "it was not done within 3 s")
    assert time.monotonic() - began < 20


@pytest.mark.long
@pytest.mark.parametrize("silent", ["create", "preupload", "blob", "commit"])
def test_a_request_that_is_never_answered_is_one_failed_try(hub: Hub, folder: Path, silent: str) -> None:
    hub.answers[silent] = [-1]
    impatient = "from simpletuner.observe.publish import child, hub; hub._SILENCE = 1.0; child.serve(hub.DOOR)"
    process = subprocess.Popen(
        [sys.executable, "-c", impatient],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **hub.environ()},
        text=True,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(job(folder).as_line())
        process.stdin.flush()
        assert read_answer(process.stdout.readline()).outcome == "done"
    assert hub.repositories[f"{OWNER}/x"].files == FILES


def test_who_is_logged_in(courier: Courier, hub: Hub) -> None:
    assert sent(courier, Job("login", "x")) == Answer("done", where=OWNER)
    hub.role = "read"
    assert sent(courier, Job("login", "x")) == Answer("refused", "the token may only read")
    hub.answers["whoami"] = [401, 503]
    assert sent(courier, Job("login", "x")).outcome == "refused"
    assert sent(courier, Job("login", "x")) == Answer("unreachable", "the hub answers 503")


def test_nobody_and_nowhere(hub: Hub, tmp_path: Path) -> None:
    nobody = {**os.environ, **hub.environ(), "HF_HOME": str(tmp_path)}
    del nobody["HF_TOKEN"]
    for environ, outcome in ((nobody, "no_login"), ({**os.environ, **hub.environ(), "HF_HUB_OFFLINE": "1"}, "offline")):
        courier = Courier(environ, str)
        assert sent(courier, Job("login", "x")).outcome == outcome
        courier.close()
    assert not hub.asked


def test_the_process_ends_with_the_run(hub: Hub, folder: Path, tmp_path: Path) -> None:
    """What a run leaves when it is killed: a pipe that breaks."""
    hub.answers["commit"] = [-1]
    courier = Courier({**os.environ, **hub.environ()}, str)
    courier.send(job(folder))
    while "commit" not in hub.asked:
        time.sleep(0.02)
    process = courier._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=10) == 3
    courier.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, signal.SIGTERM)


def test_words_for_errors() -> None:
    assert refusal(OSError("no route")) is None
    assert mishap(httpx2.ConnectError("refused")) == "ConnectError: refused"
