"""A run tells real receivers: what arrives, what does not, and that nobody waits."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from simpletuner.config.files.webhooks import Webhook
from simpletuner.core.events import CheckpointSaved, Notice, PreviewDrawn, RunEnded, RunStarted, StepDone
from simpletuner.observe.fan_out import FanOut
from simpletuner.observe.webhook.listener import WebhookListener, webhook_listeners
from simpletuner.observe.webhook.secrets import scrubber
from simpletuner.observe.webhook.sender import Pace, Sender

SECRET = "canary-9f8e7d6c5b4a"
QUICK = Pace(between=0.02, first_wait=0.02, patience=1.0)


def listener(webhook: Webhook, **environ: str) -> WebhookListener:
    return WebhookListener(webhook, Sender(webhook, QUICK), "project run", None, scrubber(environ))


def step(number: int) -> StepDone:
    return StepDone(number, 1, 5, 0.5, 1e-4, 0.01, 1)


def test_a_short_run_is_told_to_its_end(receiver: Any) -> None:
    there = receiver()
    emit = FanOut([listener(there.webhook())])
    emit(RunStarted("run", Path("out"), 0, 5, 1))
    for number in range(1, 6):
        emit(step(number))
        emit(PreviewDrawn(number, "cat", "a cat", 5, 20, 0.5, 8, 8, b"x" * 192))
    emit(CheckpointSaved(5, Path("out"), is_final=True))
    emit(RunEnded(5, "completed", 1.0))
    emit.close()
    kinds = [message["type"] for message in there.messages]
    assert kinds[0] == "notification"
    assert {"training.status", "training.checkpoint", "lifecycle.stage"} <= set(kinds)
    assert kinds.count("validation.image") == 5
    assert {message["job_id"] for message in there.messages} == {None}


def test_a_receiver_hears_what_its_level_allows(receiver: Any) -> None:
    there = receiver()
    emit = FanOut([listener(there.webhook(log_level="error"))])
    emit(Notice("careful", level="warning"))
    emit(RunEnded(5, "failed", 1.0, "no memory"))
    emit.close()
    assert [message["type"] for message in there.messages] == ["training.status", "error"]


@pytest.mark.parametrize(("prefix", "content"), [(None, "(`project run`) "), ("mine", "(`mine`) ")])
def test_discord_gets_forms(receiver: Any, prefix: str | None, content: str) -> None:
    there = receiver()
    url = SecretStr(f"http://127.0.0.1:{there.port}/x")
    emit = FanOut([listener(Webhook("discord", url, prefix=prefix))])
    emit(step(1))
    emit(CheckpointSaved(5, Path("checkpoint-5")))
    emit.close()
    (body,) = there.bodies
    assert f"{content}step 5: checkpoint saved".encode() in body
    assert there.headers[0]["Content-Type"].startswith("multipart/form-data; boundary=")


def test_log_records_are_forwarded_while_it_listens(receiver: Any) -> None:
    there = receiver()
    one = listener(there.webhook())
    logging.getLogger("simpletuner.observe.fan_out").warning("TensorBoard failed: %s", "why")
    logging.getLogger("simpletuner.observe.webhook.sender").warning("about itself")
    logging.getLogger("another").warning("of another program")
    one.close()
    logging.getLogger("simpletuner").warning("after the end")
    assert [(message["severity"], message["message"]) for message in there.messages] == [
        ("warning", "TensorBoard failed: why")
    ]


def test_no_secret_leaves(receiver: Any, caplog: pytest.LogCaptureFixture) -> None:
    there = receiver()
    webhook = there.webhook(auth_token=SecretStr(f"token-{SECRET}"))
    with caplog.at_level(logging.DEBUG):
        (one,) = webhook_listeners([webhook], "p", {"HF_TOKEN": f"hub-{SECRET}", "SIMPLETUNER_JOB_ID": "job-7"})
        emit = FanOut([one])
        emit(RunEnded(1, "failed", 1.0, f"401 for hub-{SECRET} and token-{SECRET}", f"/{SECRET}"))
        there.until(3)
        emit.close()
    sent = b"".join(there.bodies).decode()
    assert "401 for *** and ***" in sent
    assert '"job_id": "job-7"' in sent
    assert SECRET not in sent + caplog.text + repr(one) + repr(webhook)


def test_hearing_costs_less_than_a_millisecond(receiver: Any) -> None:
    there = receiver()
    emit = FanOut([listener(there.webhook(), **{f"TOKEN_{number}": f"secret-{number}" * 3 for number in range(20)})])
    emit(RunStarted("run", Path("out"), 0, 5, 1))
    times = []
    for number in range(300):
        began = time.perf_counter()
        emit(step(number))
        times.append(time.perf_counter() - began)
    emit.close()
    # The usual one: a busy machine may take the processor away from any single one.
    assert sorted(times)[len(times) // 2] < 0.001
    assert sorted(times)[-3] < 0.05
