"""Who carries jobs: nobody waits for it, it can be ended at any moment, and what died is told."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from simpletuner.observe.background import LATER
from simpletuner.observe.publish.courier import MOST_WAITING, Courier
from simpletuner.observe.publish.job import Job
from tests.observe.publish.hub_server import TOKEN, Hub

LOGIN = Job("login", "x")


def test_to_stop_is_obeyed_within_a_second(courier: Courier, hub: Hub) -> None:
    hub.answers["whoami"] = [-1]
    parcel = courier.send(LOGIN)
    while not hub.asked:
        time.sleep(0.02)
    assert courier._process is not None
    assert os.getpriority(os.PRIO_PROCESS, courier._process.pid) == LATER
    began = time.monotonic()
    # Who is waited for has the processor like anybody else, as far as this user may give it back.
    assert courier.wait(parcel, lambda: True) is None
    assert os.geteuid() or os.getpriority(os.PRIO_PROCESS, courier._process.pid) == 0
    courier.close()
    assert time.monotonic() - began < 1
    assert parcel.is_over.is_set()


def test_the_oldest_that_waits_is_given_up_for_a_newer_one(courier: Courier, hub: Hub) -> None:
    hub.answers["whoami"] = [-1]
    first = courier.send(LOGIN)
    while not hub.asked:
        time.sleep(0.02)
    waiting = [courier.send(LOGIN) for _ in range(MOST_WAITING + 1)]
    assert [parcel.is_over.is_set() for parcel in (first, *waiting)] == [False, True, *[False] * MOST_WAITING]
    assert waiting[0].answer is not None
    assert waiting[0].answer.outcome == "given_up"
    last = courier.send(LOGIN, is_last=True)
    assert [parcel.is_over.is_set() for parcel in (*waiting[1:], last)] == [False] * (MOST_WAITING + 1)
    hub.over.set()
    answer = courier.wait(last, lambda: False)
    assert answer is not None
    assert answer.outcome == "done"


def test_a_process_that_dies_is_told_without_secrets(tmp_path: Path) -> None:
    """A broken package on the path of the uploading process stands for any crash of a library."""
    (tmp_path / "huggingface_hub.py").write_text(f"raise RuntimeError('no use for {TOKEN}')")
    path = os.pathsep.join((str(tmp_path), *sys.path))
    courier = Courier({**os.environ, "PYTHONPATH": path}, lambda text: text.replace(TOKEN, "***"))
    answer = courier.wait(courier.send(LOGIN), lambda: False)
    courier.close()
    assert answer is not None
    assert answer.outcome == "unreachable"
    assert answer.reason == "the process that uploads died (RuntimeError: no use for ***)"


def test_nothing_is_begun_after_the_end(courier: Courier, hub: Hub) -> None:
    courier.close()
    courier.send(LOGIN)
    time.sleep(0.1)
    assert not hub.asked
