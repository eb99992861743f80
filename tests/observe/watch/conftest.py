"""The page on a real server, on a thread of the test."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from simpletuner.observe.watch.app import build_app
from simpletuner.observe.watch.folder import RunFolder
from simpletuner.observe.watch.serve import Place, listen, make_server

TOKEN = "token-of-the-tests"


class Page:
    """A server, and requests to it."""

    def __init__(self, folder: Path | None) -> None:
        self._socket = listen(0)
        self.place = Place(self._socket.getsockname()[1], TOKEN)
        run_folder = RunFolder(folder, lambda _path: {}) if folder else None
        self._server = make_server(build_app(TOKEN, self.place.port, run_folder))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]})
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)

    def get(self, path: str, **more: object) -> httpx2.Response:
        return httpx2.get(f"{self.place.address}{path}", **more)  # type: ignore[arg-type]

    def post(self, content: bytes | str, **more: object) -> httpx2.Response:
        return httpx2.post(f"{self.place.address}webhook", content=content, **more)  # type: ignore[arg-type]

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()


@pytest.fixture
def page() -> Iterator[Callable[[Path | None], Page]]:
    made: list[Page] = []

    def make(folder: Path | None = None) -> Page:
        made.append(Page(folder))
        return made[-1]

    yield make
    for one in made:
        one.close()
