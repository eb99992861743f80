"""Every address of the live page, by enumeration: without the token, from elsewhere, and out of the run's folder."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import httpx2
import pytest
from starlette.routing import Route

from simpletuner.observe.watch.app import build_app
from simpletuner.observe.watch.folder import RunFolder
from simpletuner.observe.watch.guard import Guard
from simpletuner.observe.watch.serve import Place, listen, make_server

TOKEN = "token-of-the-tests"
SECRET = b"not of this run"


def routes() -> list[tuple[str, str]]:
    """Method and path of everything that the page answers to."""
    app = build_app(TOKEN, 1, None)
    assert isinstance(app, Guard)
    found = app._app.routes  # type: ignore[attr-defined]
    assert all(isinstance(route, Route) for route in found)
    return [
        (method, route.path.replace("{name:path}", "x.png"))
        for route in found
        for method in sorted((route.methods or set()) - {"HEAD"})
    ]


ROUTES = routes()
ROOMS = [path.removesuffix("x.png") for _, path in ROUTES if path.endswith("x.png")]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("around")
    (folder / "run").mkdir()
    (folder / "secret.png").write_bytes(SECRET)
    (folder / "run" / "link.png").symlink_to(folder / "secret.png")
    socket = listen(0)
    found = Place(socket.getsockname()[1], TOKEN)
    server = make_server(build_app(TOKEN, found.port, RunFolder(folder / "run", lambda _path: {})))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield found
    server.should_exit = True
    thread.join(10)
    socket.close()


def test_all_are_known() -> None:
    assert {"/", "/state", "/webhook"} <= {path for _, path in ROUTES}
    assert ROOMS


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_nothing_is_there_without_the_token(place: Place, method: str, path: str) -> None:
    for before in ("", "/", f"/{TOKEN}x", f"/x/{TOKEN}", "/" + "x" * len(TOKEN)):
        answer = httpx2.request(method, f"http://127.0.0.1:{place.port}{before}{path}", content=b"{}")
        assert (answer.status_code, answer.text) == (404, "nothing is here"), before


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Host": "evil.example"}, 421), ({"Origin": "http://evil.example"}, 403), ({"Origin": "null"}, 403)],
)
def test_nothing_is_told_to_another_page(
    place: Place, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    answer = httpx2.request(method, place.address.removesuffix("/") + path, content=b"{}", headers=headers)
    assert answer.status_code == status


OUTSIDE = ("../secret.png", "%2e%2e/secret.png", "..%2fsecret.png", "link.png", "validation_images/../../secret.png")


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize(
    "name", [*OUTSIDE, "/etc/passwd", "%2fetc%2fpasswd", "....//secret.png", "%00", "..%5csecret.png"]
)
def test_no_file_outside_of_the_run_is_served(place: Place, room: str, name: str) -> None:
    answer = httpx2.get(f"{place.address.removesuffix('/')}{room}{name}")
    assert answer.status_code in (400, 404)
    assert SECRET not in answer.content
    assert b"root:" not in answer.content
