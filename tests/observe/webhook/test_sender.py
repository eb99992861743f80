"""Delivery in the worst company: the thread that puts is never held up, and what is lost is said."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from simpletuner.config.files.webhooks import Webhook
from simpletuner.observe.webhook.message import Message, Pixels
from simpletuner.observe.webhook.sender import Pace, Sender, usual_pace

SECRET = "canary-9f8e7d6c5b4a"
QUICK = Pace(between=0.05, first_wait=0.05, longest_wait=0.2, patience=0.5, at_end=3.0)
PREVIEW = Message({"type": "p"}, drawings=(Pixels(256, 256, b"\x7f" * 256 * 256 * 3),), is_preview=True)


def step(number: int) -> Message:
    return Message({"step": number}, replaces="step")


def words(number: int) -> Message:
    return Message({"text": number})


def hang(there: Any, _handler: Any) -> None:
    there.over.wait(30)


def flood(there: Any, handler: Any) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        while not there.over.is_set():
            handler.wfile.write(b"x" * 65536)
    except OSError:
        return


def test_everything_arrives_in_order_at_the_pace(receiver: Any) -> None:
    there = receiver()
    sender = Sender(there.webhook(), replace(QUICK, between=0.2))
    for number in range(4):
        sender.put(words(number))
    assert sender.close() == 0
    assert [message["text"] for message in there.messages] == [0, 1, 2, 3]
    gaps = [after - before for before, after in zip(there.times, there.times[1:], strict=False)]
    assert min(gaps) > 0.15


@pytest.mark.parametrize(("host", "seconds"), [("hooks.example", 1.0), ("8.8.8.8", 1.0), ("127.0.0.1", 0.1)])
def test_the_usual_pace_is_one_a_second_and_faster_on_this_machine(host: str, seconds: float) -> None:
    assert usual_pace(Webhook("raw", SecretStr(f"http://{host}/x"))).between == seconds


def test_of_many_steps_the_newest_is_sent(receiver: Any) -> None:
    there = receiver()
    sender = Sender(there.webhook(), replace(QUICK, between=0.3))
    for number in range(500):
        sender.put(step(number))
        time.sleep(0.001)
    assert sender.close() == 0
    told = [message["step"] for message in there.messages]
    assert told == sorted(told)
    assert told[-1] == 499
    assert len(told) <= 6


@pytest.mark.parametrize("status", [429, 500, 503])
def test_it_is_tried_again_after_a_while(receiver: Any, answers: Any, status: int) -> None:
    there = receiver(answers(status, Retry_After="0.4"), answers(status), answers(204))
    sender = Sender(there.webhook(), QUICK)
    sender.put(words(1))
    there.until(3)
    assert sender.close() == 0
    assert [message["text"] for message in there.messages] == [1, 1, 1]
    # Asked for, and longer than any wait of ours here.
    assert there.times[1] - there.times[0] >= 0.4
    assert there.times[2] - there.times[1] >= 0.09


def test_a_step_that_is_overtaken_is_not_tried_again(receiver: Any, answers: Any) -> None:
    there = receiver(answers(500), answers(204))
    sender = Sender(there.webhook(), replace(QUICK, first_wait=0.3, longest_wait=0.3))
    sender.put(step(1))
    there.until(1)
    sender.put(step(2))
    assert sender.close() == 0
    assert [message["step"] for message in there.messages] == [1, 2]


def test_it_gives_up_and_says_how_many_are_lost(receiver: Any, answers: Any, caplog: pytest.LogCaptureFixture) -> None:
    there = receiver(answers(500))
    with caplog.at_level(logging.DEBUG):
        sender = Sender(there.webhook(auth_token=SecretStr(f"token-{SECRET}")), replace(QUICK, tries=2))
        sender.put(words(1))
        sender.put(words(2))
        there.until(3)
        assert sender.close() == 2
    assert caplog.text.count("it answers 500; training goes on") == 1
    assert f"raw webhook at 127.0.0.1:{there.port}: 2 messages were not delivered" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("company", ["refuses", "hangs", "floods", "answers 500", "answers 429", "redirects", "404"])
def test_the_thread_that_puts_is_never_held_up(receiver: Any, answers: Any, company: str) -> None:
    acting = {
        "hangs": hang,
        "floods": flood,
        "answers 500": answers(500),
        "answers 429": answers(429, Retry_After="60"),
        "redirects": answers(302, Location="http://127.0.0.1:1/"),
        "404": answers(404),
    }
    there = receiver(*([acting[company]] if company in acting else []))
    webhook = there.webhook() if company in acting else Webhook("raw", SecretStr("http://127.0.0.1:1/x"))
    sender = Sender(webhook, replace(QUICK, patience=0.3))
    times, end, number = [0.0], time.monotonic() + 1.0, 0
    while time.monotonic() < end:
        number += 1
        began = time.monotonic()
        sender.put(step(number))
        sender.put(words(number) if number % 2 else PREVIEW)
        times.append(time.monotonic() - began)
        time.sleep(0.002)
    began = time.monotonic()
    sender.close()
    # A busy machine may take the processor away now and then; a wait for the receiver would last seconds.
    assert sorted(times)[-3] < 0.05
    assert max(times) < 0.5
    assert time.monotonic() - began < QUICK.at_end + 1


def test_the_end_waits_for_a_receiver_that_listens_and_not_for_one_that_hangs(
    receiver: Any, caplog: pytest.LogCaptureFixture
) -> None:
    slow = Sender(receiver().webhook(), replace(QUICK, between=0.3))
    for number in range(5):
        slow.put(words(number))
    # Longer than its patience in all, but something arrives all the while.
    with caplog.at_level(logging.WARNING):
        assert slow.close() == 0
    assert "messages are on their way; they are waited for, at most 3 s" in caplog.text
    hanging = Sender(receiver(hang).webhook(), QUICK)
    hanging.put(words(1))
    hanging.put(words(2))
    began = time.monotonic()
    assert hanging.close() == 2
    assert time.monotonic() - began < 2


def test_several_receivers_that_hang_are_waited_for_once(receiver: Any) -> None:
    senders = [Sender(receiver(hang).webhook(), QUICK) for _ in range(4)]
    for sender in senders:
        sender.put(words(1))
        sender.expect_end()
    began = time.monotonic()
    assert [sender.close() for sender in senders] == [1, 1, 1, 1]
    assert time.monotonic() - began < 3 * QUICK.patience


def test_without_a_message_nobody_is_called_and_the_end_is_quick(receiver: Any) -> None:
    there = receiver()
    began = time.monotonic()
    assert Sender(there.webhook()).close() == 0
    assert time.monotonic() - began < 3
    assert there.bodies == []
