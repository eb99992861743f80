"""A real S3 server on loopback, and a proxy before it that breaks some of what it passes on."""

from __future__ import annotations

import http.client
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer

from simpletuner.data.sources.bucket import BucketSource, BucketSpec

_NOT_PASSED_ON = {"connection", "transfer-encoding", "server", "date"}
KEY, SECRET = "key-of-the-tests", "secret-of-the-tests"


@dataclass
class Store:
    """The server, a client that fills it, and a bucket of its own for one test."""

    endpoint: str
    client: Any
    bucket: str

    def put(self, objects: dict[str, bytes]) -> None:
        """Objects by key."""
        for key, content in objects.items():
            self.client.put_object(Bucket=self.bucket, Key=key, Body=content)

    def put_many(self, keys: Iterable[str]) -> None:
        """Objects of one byte, put behind the server's back: each request takes it milliseconds."""
        backend = s3_backends["123456789012"]["aws"]
        for key in keys:
            backend.put_object(self.bucket, key, b"x")

    def spec(self, **changes: Any) -> BucketSpec:
        """How to reach the bucket."""
        facts = {"bucket": self.bucket, "region": "us-east-1", "endpoint": self.endpoint, "key": KEY, "secret": SECRET}
        return BucketSpec(**{**facts, **changes})

    def source(self, **changes: Any) -> BucketSource:
        """The bucket."""
        return BucketSource(self.spec(**changes))


Breaking = Callable[[int, bytes], bytes | int | None]


@dataclass
class Proxy:
    """Passes GETs on. ``breaks(count, body)`` gives the body to send, a status, or None for a reset."""

    target: str
    breaks: Breaking
    listings: bool
    count: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def turn(self) -> int:
        """The number of this request, from 1."""
        with self.lock:
            self.count += 1
            return self.count


class _Server(ThreadingHTTPServer):
    proxy: Proxy


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        proxy = self.server.proxy
        upstream = http.client.HTTPConnection(proxy.target)
        upstream.request(self.command, self.path, headers=dict(self.headers))
        answer = upstream.getresponse()
        body = answer.read()
        is_meant = self.command == "GET" and proxy.listings == ("list-type" in self.path)
        sent = proxy.breaks(proxy.turn(), body) if is_meant else body
        if isinstance(sent, bytes):
            self._send(answer, sent)
        elif sent is not None:
            self.send_error(sent, "SlowDown")
        self.close_connection = True
        upstream.close()

    do_HEAD = do_GET  # noqa: N815 (the name that the base class asks for)

    def _send(self, answer: http.client.HTTPResponse, body: bytes) -> None:
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            # Not the checksum: the client would see the damage before we do, and not every store has one.
            if name.lower() not in _NOT_PASSED_ON and not name.lower().startswith("x-amz-checksum"):
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def broken(store: Store, breaks: Breaking, *, listings: bool = False) -> Iterator[str]:
    """The address of a proxy before the store, while it stands. It breaks objects, or ``listings`` instead."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.proxy = Proxy(store.endpoint.removeprefix("http://"), breaks, listings)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="session")
def _server() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def store(_server: str, request: pytest.FixtureRequest) -> Store:
    """A store with an empty bucket."""
    client = boto3.client(
        "s3", endpoint_url=_server, aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name="us-east-1"
    )
    bucket = "pictures-" + str(abs(hash(request.node.name)))
    client.create_bucket(Bucket=bucket)
    return Store(_server, client, bucket)


@pytest.fixture
def breaking(store: Store) -> Callable[..., Any]:
    """Puts a proxy before the store."""
    return partial(broken, store)
