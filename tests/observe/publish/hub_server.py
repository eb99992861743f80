"""A small hub on loopback: repositories in memory, behind the addresses that huggingface_hub calls."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_canaryTokenOfTheTests0123"
OWNER = "fox"
_LARGE = (".safetensors", ".png")


@dataclass
class Repository:
    """What a repository holds."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Hub:
    """The repositories, and what goes wrong: ``answers`` are statuses that a kind of request gets first, in turn.

    A 0 drops the connection in the middle; -1 never answers; -2 answers when ``gate`` is set.
    """

    endpoint: str = ""
    role: str = "write"
    answers: dict[str, list[int]] = field(default_factory=dict)
    repositories: dict[str, Repository] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    over: threading.Event = field(default_factory=threading.Event)
    gate: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def environ(self) -> dict[str, str]:
        """The environment in which a process talks to this hub, with what every hub understands."""
        return {
            "HF_ENDPOINT": self.endpoint,
            "HF_TOKEN": TOKEN,
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }

    def next_answer(self, kind: str) -> int:
        """The status for this request."""
        with self.lock:
            self.asked.append(kind)
            left = self.answers.get(kind, [])
            return left.pop(0) if left else 200


_ROUTES = {
    "whoami": r"/api/whoami-v2",
    "create": r"/api/repos/create",
    "yaml": r"/api/validate-yaml",
    "preupload": r"/api/models/(?P<repo>[^/]+/[^/]+)/preupload/main",
    "commit": r"/api/models/(?P<repo>[^/]+/[^/]+)/commit/main",
    "info": r"/api/models/(?P<repo>[^/]+/[^/]+)(/revision/main)?",
    "batch": r"/(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/batch",
    "blob": r"/blobs/(?P<oid>[0-9a-f]{64})",
    "verify": r"/verify",
}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    hub: Hub


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def _any(self) -> None:
        hub = self.server.hub
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else self._chunks()
        path = self.path.partition("?")[0]
        matches = ((kind, re.fullmatch(pattern, path)) for kind, pattern in _ROUTES.items())
        kind, match = next(((kind, match) for kind, match in matches if match), ("", None))
        if match is None:
            self._send(404, {"error": f"no such address: {path}"})
            return
        hub.tokens.add((self.headers.get("Authorization") or "").removeprefix("Bearer "))
        status = hub.next_answer(kind)
        if status == -2:
            hub.gate.wait(60)
            status = 200
        if status == -1:
            hub.over.wait(60)
            self.close_connection = True
        elif status == 0:
            self.close_connection = True
        elif status != 200:
            self._send(status, {"error": f"as told: {status}"})
        else:
            self._send(*_Answers(hub).of(kind, match.groupdict(), body))

    do_GET = do_POST = do_PUT = _any  # noqa: N815 (the names that the base class asks for)

    def _chunks(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return b""
        found = b""
        while size := int(self.rfile.readline(), 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def _send(self, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@dataclass
class _Answers:
    hub: Hub

    def of(self, kind: str, found: dict[str, str], body: bytes) -> tuple[int, Any]:
        if kind == "whoami":
            return 200, {"type": "user", "name": OWNER, "auth": {"accessToken": {"role": self.hub.role}}}
        if kind == "create":
            return self._create(json.loads(body))
        if kind == "blob":
            assert hashlib.sha256(body).hexdigest() == found["oid"]
            self.hub.blobs[found["oid"]] = body
        if kind in ("yaml", "verify", "blob"):
            return 200, {"errors": [], "warnings": []}
        repository = self.hub.repositories.get(found["repo"])
        if repository is None:
            return 404, {"error": "Repository not found"}
        if kind == "info":
            return 200, {"id": found["repo"], "private": repository.private, "sha": "0" * 40, "siblings": []}
        return 200, {"preupload": _preupload, "batch": self._batch, "commit": self._commit}[kind](repository, body)

    def _create(self, asked: dict[str, Any]) -> tuple[int, Any]:
        name = f"{asked.get('organization') or OWNER}/{asked['name']}"
        url = {"url": f"{self.hub.endpoint}/{name}", "name": name}
        if name in self.hub.repositories:
            return 409, {"error": "You already created this model repo", **url}
        private = asked.get("private") is True or asked.get("visibility") == "private"
        self.hub.repositories[name] = Repository(private)
        return 200, url

    def _batch(self, _repository: Repository, body: bytes) -> Any:
        def action(oid: str) -> dict[str, Any]:
            here = self.hub.endpoint
            return {"upload": {"href": f"{here}/blobs/{oid}"}, "verify": {"href": f"{here}/verify"}}

        asked = json.loads(body)["objects"]
        return {"transfer": "basic", "objects": [{**entry, "actions": action(entry["oid"])} for entry in asked]}

    def _commit(self, repository: Repository, body: bytes) -> Any:
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header":
                repository.commits.append(value)
            elif entry["key"] == "file":
                repository.files[value["path"]] = base64.b64decode(value["content"])
            else:
                repository.files[value["path"]] = self.hub.blobs[value["oid"]]
        return {"commitUrl": f"{self.hub.endpoint}/{OWNER}/any/commit/{'1' * 40}", "commitOid": "1" * 40}


def _preupload(_repository: Repository, body: bytes) -> Any:
    def mode(path: str) -> str:
        return "lfs" if path.endswith(_LARGE) else "regular"

    asked = [file["path"] for file in json.loads(body)["files"]]
    return {"files": [{"path": path, "uploadMode": mode(path), "shouldIgnore": False} for path in asked]}


@contextmanager
def running_hub() -> Iterator[Hub]:
    """A hub while it stands."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.hub = Hub(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.hub
    finally:
        server.hub.over.set()
        server.hub.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()
