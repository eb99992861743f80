"""A small hub on loopback that hands out models: what a client asks when it fetches a part of one."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

REPOSITORY = "some/where"
_INFO = re.compile(rf"/api/models/{REPOSITORY}(?:/revision/(?P<revision>[^/]+))?")
_TREE = re.compile(rf"/api/models/{REPOSITORY}/tree/(?P<revision>[^/]+)/?(?P<path>.*)")
_FILE = re.compile(rf"/{REPOSITORY}/resolve/(?P<revision>[^/]+)/(?P<path>.+)")


@dataclass
class WeightsHub:
    """One repository: a folder for each commit, where ``main`` is, and what was asked for.

    As the hub does, it names a file of weights by its SHA-256 and any other by git's hash; those that are ``spoiled``
    arrive with one bit flipped.
    """

    commits: dict[str, Path]
    main: str
    endpoint: str = ""
    asked: list[str] = field(default_factory=list)
    spoiled: set[str] = field(default_factory=set)

    def fetched(self, name: str) -> list[str]:
        """The requests for the file ``name``."""
        return [path for path in self.asked if "/resolve/" in path and path.endswith(f"/{name}")]

    def environ(self, cache: Path) -> dict[str, str]:
        """The environment in which a process talks to this hub and keeps what it fetches in ``cache``."""
        return {
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(cache),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    hub: WeightsHub


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.hub.asked.append(path)
        if match := _INFO.fullmatch(path):
            commit, folder = self._at(match["revision"])
            self._json({"id": REPOSITORY, "sha": commit, "siblings": [{"rfilename": name} for name in _names(folder)]})
        elif match := _TREE.fullmatch(path):
            self._tree(self._at(match["revision"])[1], match["path"])
        elif match := _FILE.fullmatch(path):
            self._file(*self._at(match["revision"]), match["path"])
        else:
            self._send(200 if path == "/" else 404, b"", {})

    do_HEAD = do_GET  # noqa: N815

    def _at(self, revision: str | None) -> tuple[str, Path]:
        hub = self.server.hub
        commit = hub.main if revision in (None, "main") else str(revision)
        return commit, hub.commits[commit]

    def _tree(self, folder: Path, below: str) -> None:
        wanted = [name for name in _names(folder) if name.startswith(f"{below}/" if below else "")]
        found = [
            {"type": "file", "path": name, "size": (folder / name).stat().st_size, **_named(folder / name)}
            for name in wanted
        ]
        self._json(found) if found else self._send(404, b"", {"X-Error-Code": "EntryNotFound"})

    def _file(self, commit: str, folder: Path, name: str) -> None:
        headers = {"X-Repo-Commit": commit}
        if not (folder / name).is_file():
            self._send(404, b"", {**headers, "X-Error-Code": "EntryNotFound"})
            return
        content = bytearray((folder / name).read_bytes())
        content[-1] ^= name in self.server.hub.spoiled
        known = _named(folder / name)
        etag = known["lfs"]["oid"] if "lfs" in known else known["oid"]
        self._send(200, bytes(content), {**headers, "ETag": f'"{etag}"'})

    def _json(self, content: Any) -> None:
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _named(file: Path) -> dict[str, Any]:
    """How the hub names the content of ``file``: one hash of git's, and for weights the one of large files, too."""
    content = file.read_bytes()
    oid = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    if file.suffix != ".safetensors":
        return {"oid": oid}
    large = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return {"oid": oid, "lfs": large}


def _names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@contextmanager
def serving(hub: WeightsHub) -> Iterator[WeightsHub]:
    """``hub`` on a port of its own, until the block ends."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.hub = hub
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
