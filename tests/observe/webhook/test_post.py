"""One POST: what is sent where, and what an answer means. Receivers are real servers on loopback."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from pydantic import SecretStr

from simpletuner.config.files.webhooks import Webhook
from simpletuner.observe.webhook.body import Body
from simpletuner.observe.webhook.post import Answer, Poster, seconds_asked

SECRET = "canary-9f8e7d6c5b4a"
BODY = Body(b'{"a": 1}', "application/json")


@pytest.fixture
def poster() -> Iterator[Callable[..., Poster]]:
    made: list[Poster] = []

    def make(webhook: Webhook, *more: Any) -> Poster:
        made.append(Poster(webhook, *more))
        return made[-1]

    yield make
    for one in made:
        one.close()


def raw(url: str, **more: Any) -> Webhook:
    return Webhook("raw", SecretStr(url), **more)


def test_a_post_carries_body_type_and_token(receiver: Any, poster: Any) -> None:
    there = receiver()
    assert poster(there.webhook(auth_token=SecretStr("token-1"))).post(BODY) == Answer("sent")
    assert there.bodies == [b'{"a": 1}']
    headers = there.headers[0]
    assert (headers["X-API-Key"], headers["Content-Type"]) == ("token-1", "application/json")
    assert headers["Host"] == f"127.0.0.1:{there.port}"
    poster(there.webhook()).post(BODY)
    assert "X-API-Key" not in there.headers[1]


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (200, {}, Answer("sent")),
        (429, {"Retry_After": "7"}, Answer("again", "it answers 429", 7.0)),
        (500, {}, Answer("again", "it answers 500")),
        (503, {"Retry_After": "3600"}, Answer("again", "it answers 503", 60.0)),
        (404, {}, Answer("refused", "it answers 404")),
        (401, {}, Answer("refused", "it answers 401")),
    ],
)
def test_what_an_answer_means(
    receiver: Any, answers: Any, poster: Any, status: int, headers: dict[str, str], expected: Answer
) -> None:
    assert poster(receiver(answers(status, **headers)).webhook()).post(BODY) == expected


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(receiver: Any, answers: Any, poster: Any, status: int) -> None:
    inside = receiver()
    there = receiver(answers(status, Location=f"http://127.0.0.1:{inside.port}/"))
    answer = poster(there.webhook()).post(BODY)
    assert answer == Answer("refused", f"it answers {status}, and no redirect is followed")
    assert inside.bodies == []


def test_a_huge_answer_is_not_read(receiver: Any, poster: Any) -> None:
    def flood(there: Any, handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while not there.over.is_set():
                handler.wfile.write(b"x" * 65536)
        except OSError:
            return

    began = time.monotonic()
    assert poster(receiver(flood).webhook()).post(BODY) == Answer("sent")
    assert time.monotonic() - began < 2


def test_nobody_there(poster: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/{SECRET}"
        assert poster(raw(url)).post(BODY) == Answer("again", "the connection is refused")


def test_a_connection_that_breaks(receiver: Any, poster: Any) -> None:
    def hang_up(_there: Any, handler: Any) -> None:
        handler.connection.shutdown(socket.SHUT_RDWR)

    assert poster(receiver(hang_up).webhook()).post(BODY).outcome == "unheard"


def test_a_name_that_leads_to_a_private_address_is_refused(receiver: Any, poster: Any) -> None:
    there = receiver()
    for host in ("localhost", "2130706433", "hooks.example"):
        answer = poster(raw(f"http://{host}:{there.port}/"), lambda _host, _port: ["127.0.0.1"]).post(BODY)
        assert answer.outcome == "refused"
        assert "private address 127.0.0.1" in answer.reason
    assert poster(raw("http://169.254.169.254/")).post(BODY).outcome == "refused"
    assert there.bodies == []


def test_one_private_address_among_public_ones_is_refused(poster: Any) -> None:
    answer = poster(raw("http://hooks.example/"), lambda _host, _port: ["192.0.2.1", "10.0.0.1"]).post(BODY)
    assert answer.outcome == "refused"


def test_a_private_receiver_that_is_allowed_keeps_its_name(receiver: Any, poster: Any) -> None:
    there = receiver()
    webhook = raw(f"http://hooks.example:{there.port}/x", allow_private=True)
    assert poster(webhook, lambda _host, _port: ["127.0.0.1"]).post(BODY) == Answer("sent")
    assert there.headers[0]["Host"] == f"hooks.example:{there.port}"


def test_a_name_is_asked_once_a_post_and_the_checked_address_is_the_one_connected_to(
    receiver: Any, poster: Any
) -> None:
    there, asked = receiver(), []

    def rebinding(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    posting = poster(raw(f"http://hooks.example:{there.port}/", allow_private=True), rebinding)
    assert posting.post(BODY) == Answer("sent")
    assert (asked, len(there.bodies)) == (["hooks.example"], 1)


@pytest.mark.parametrize("host", ["xn--a", "xn--zzzzzzzz9.example", "[::1]"])
def test_names_of_every_form_are_looked_up_as_they_are_written(poster: Any, host: str) -> None:
    asked: list[str] = []

    def noting(name: str, _port: int) -> Sequence[str]:
        asked.append(name)
        return ["10.0.0.1"]

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        answer = poster(raw(f"http://{host}:{free.getsockname()[1]}/"), noting).post(BODY)
    # An address is not looked up, and this one is our own machine.
    assert (answer.outcome, asked) == (("again", []) if host == "[::1]" else ("refused", [host]))


def test_a_name_that_nobody_knows(poster: Any) -> None:
    def unknown(_host: str, _port: int) -> Sequence[str]:
        raise OSError(f"no {SECRET}")

    assert poster(raw("http://hooks.example/"), unknown).post(BODY) == Answer("unheard", "its name is not known")
    assert poster(raw("http://hooks.example/"), lambda _host, _port: []).post(BODY).outcome == "again"


def test_nothing_that_is_logged_has_the_address_or_the_token(
    receiver: Any, answers: Any, poster: Any, caplog: pytest.LogCaptureFixture
) -> None:
    token = SecretStr(f"token-{SECRET}")
    with caplog.at_level(logging.DEBUG):
        for status in (200, 302, 404, 429, 500):
            answer = poster(receiver(answers(status)).webhook(auth_token=token)).post(BODY)
            assert SECRET not in repr(answer)
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, 0), ("", 0), ("2.5", 2.5), ("900", 60), ("-3", 0), ("soon", 0), ("nan", 0), ("inf", 0),
     ("Wed, 21 Oct 2015 07:28:00 GMT", 0)],
)  # fmt: skip
def test_how_long_a_receiver_asks_to_wait(header: str | None, seconds: float) -> None:
    assert seconds_asked(header) == seconds


def test_a_date_to_wait_for() -> None:
    later = datetime.now(UTC) + timedelta(seconds=30)
    assert 25 < seconds_asked(format_datetime(later, usegmt=True)) <= 30
