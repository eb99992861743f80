"""Receivers of webhooks on this machine: one that keeps what it is told, and those that make trouble."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from benchmarks.timing import Figures

_LONG = 60.0
_NOBODY = 1
"""A port where nobody listens."""


class Server(ThreadingHTTPServer):
    """Answers each POST with ``status`` and keeps the body in ``told``; 0 never answers."""

    daemon_threads = True

    def __init__(self, status: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = status
        self.told: list[bytes] = []
        self.over = threading.Event()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}/"

    def messages(self) -> list[dict[str, Any]]:
        """What it was told, in the order it came."""
        return [json.loads(body) for body in self.told]


class Handler(BaseHTTPRequestHandler):
    """Of a :class:`Server`."""

    server: Server

    def do_POST(self) -> None:
        """Take one message."""
        self.server.told.append(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.server.status:
            self.server.over.wait(_LONG)
            return
        self.send_response(self.server.status)
        self.send_header("Retry-After", f"{10 * _LONG:g}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@contextmanager
def serving(status: int) -> Iterator[Server]:
    """A server that runs inside the block."""
    with Server(status) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()


@contextmanager
def trouble() -> Iterator[Sequence[str]]:
    """Addresses that answer 500, 429 with a long wait, never, and that refuse the connection."""
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(status)) for status in (500, 429, 0)]
        yield [*(server.url for server in servers), f"http://127.0.0.1:{_NOBODY}/"]


def arrived(messages: Sequence[dict[str, Any]]) -> Figures:
    """How many messages of each type came, and after which sampling steps there were previews."""
    previews = [message for message in messages if message["type"] == "validation.image"]
    return {
        "messages": dict(Counter(message["type"] for message in messages)),
        "previews_after": list(dict.fromkeys(preview["data"]["step_label"] for preview in previews)),
        "previews_without_picture": sum(not preview.get("images") for preview in previews),
    }
