"""A receiver on loopback that misbehaves as told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import SecretStr

from simpletuner.config.files.webhooks import Webhook

SECRET = "canary-9f8e7d6c5b4a"
Answering = Callable[["Receiver", BaseHTTPRequestHandler], None]


def answer(status: int, **headers: str) -> Answering:
    """Answers ``status`` and nothing else."""

    def answering(_receiver: Receiver, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answering


class Receiver:
    """Keeps what it is sent. ``answers`` are used one after the other, the last one for ever."""

    def __init__(self, *answers: Answering) -> None:
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.answers = list(answers or (answer(204),))
        self.over = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.times.append(time.monotonic())
                receiver.headers.append(dict(self.headers))
                receiver.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                acting = receiver.answers.pop(0) if len(receiver.answers) > 1 else receiver.answers[0]
                acting(receiver, self)

            def log_message(self, format: str, *args: Any) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def messages(self) -> list[Any]:
        return [json.loads(body) for body in self.bodies]

    def webhook(self, **more: Any) -> Webhook:
        return Webhook("raw", SecretStr(f"http://127.0.0.1:{self.port}/{SECRET}"), **more)

    def until(self, count: int, seconds: float = 10) -> None:
        """Wait for so many POSTs."""
        end = time.monotonic() + seconds
        while len(self.bodies) < count:
            assert time.monotonic() < end, f"{len(self.bodies)} of {count}"
            time.sleep(0.01)

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def receiver() -> Iterator[Callable[..., Receiver]]:
    made: list[Receiver] = []

    def make(*answers: Answering) -> Receiver:
        made.append(Receiver(*answers))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def answers() -> Callable[..., Answering]:
    return answer
