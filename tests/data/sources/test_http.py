from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from simpletuner.data.sources.http import Fetcher, FetchError


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    with Fetcher() as made:
        yield made


def test_a_loopback_address_that_is_written_out_is_fetched(httpserver: HTTPServer, fetcher: Fetcher) -> None:
    httpserver.expect_request("/a", query_string="x=1").respond_with_data(b"content")
    assert fetcher.get(httpserver.url_for("/a?x=1").replace("localhost", "127.0.0.1"), 100) == b"content"


@pytest.mark.parametrize(
    "url",
    ["http://localhost:{port}/a", "http://2130706433:{port}/a", "http://0x7f.1:{port}/a", "http://10.0.0.1/a",
     "http://[fe80::1]/a", "http://169.254.169.254/latest/meta-data"],
)  # fmt: skip
def test_private_addresses_are_refused_before_a_connection(httpserver: HTTPServer, fetcher: Fetcher, url: str) -> None:
    with pytest.raises(FetchError, match="private address") as caught:
        fetcher.get(url.format(port=httpserver.port), 100)
    assert not caught.value.passing
    assert httpserver.log == []


def test_a_name_is_asked_once_and_the_checked_address_is_the_one_connected_to(httpserver: HTTPServer) -> None:
    asked: list[str] = []

    def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["192.0.2.1"] if len(asked) > 1 else ["127.0.0.1"]

    with Fetcher(rebinding) as fetcher, pytest.raises(FetchError, match="private"):
        fetcher.get(f"http://pictures.example:{httpserver.port}/a", 100)
    assert asked == ["pictures.example"]


@pytest.mark.parametrize("mixed", [["93.184.215.14", "10.0.0.1"], ["::ffff:10.0.0.1"]])
def test_one_private_address_is_enough_to_refuse(mixed: list[str]) -> None:
    with Fetcher(lambda _host, _port: mixed) as fetcher, pytest.raises(FetchError, match="private"):
        fetcher.get("http://pictures.example/a", 100)


def redirecting(httpserver: HTTPServer, target: str) -> str:
    httpserver.expect_request("/start").respond_with_data(status=302, headers={"Location": target})
    return f"http://127.0.0.1:{httpserver.port}/start"


def test_a_redirect_on_the_same_server_is_followed(httpserver: HTTPServer, fetcher: Fetcher) -> None:
    httpserver.expect_request("/end").respond_with_data(b"there")
    assert fetcher.get(redirecting(httpserver, "/end"), 100) == b"there"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("http://127.0.0.1:1/other", "private"),
        ("http://169.254.169.254/", "private"),
        ("http://localhost/", "private"),
        ("file:///etc/passwd", "only http and https"),
        ("ftp://example.org/a", "only http and https"),
        ("http://nowhere.invalid/", "not known"),
        ("/start", "more than 5 times"),
    ],
)
def test_a_redirect_to_elsewhere_is_not(httpserver: HTTPServer, fetcher: Fetcher, target: str, message: str) -> None:
    with pytest.raises(FetchError, match=message):
        fetcher.get(redirecting(httpserver, target), 100)


@pytest.mark.parametrize(
    "url",
    ["http://", "http://[bad/", "gopher://x/", "javascript:1", "http:///a", "//host/a", "http://127.0.0.1:99999/"],
)
def test_what_is_no_url_is_told(fetcher: Fetcher, url: str) -> None:
    with pytest.raises(FetchError) as caught:
        fetcher.get(url, 100)
    assert caught.value.cure
    assert not caught.value.passing


@pytest.mark.parametrize(("status", "passing"), [(404, False), (403, False), (429, True), (503, True), (204, False)])
def test_a_status_is_told(httpserver: HTTPServer, fetcher: Fetcher, status: int, passing: bool) -> None:
    httpserver.expect_request("/a").respond_with_data(status=status)
    with pytest.raises(FetchError, match=str(status)) as caught:
        fetcher.get(f"http://127.0.0.1:{httpserver.port}/a", 100)
    assert caught.value.passing is passing


def test_what_is_too_large_is_not_read_to_its_end(httpserver: HTTPServer, fetcher: Fetcher) -> None:
    sent: list[int] = []

    def endless(_request: Request) -> Response:
        def pieces() -> Iterator[bytes]:
            for number in range(10_000):
                sent.append(number)
                yield bytes(1 << 16)

        return Response(pieces())

    httpserver.expect_request("/a").respond_with_handler(endless)
    with pytest.raises(FetchError, match="larger than 1 MB"):
        fetcher.get(f"http://127.0.0.1:{httpserver.port}/a", 1 << 20)
    assert len(sent) < 1_000


def test_a_body_that_breaks_off_may_come_whole_next_time(fetcher: Fetcher) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(FetchError, match="connection failed") as caught:
            fetcher.get(f"http://127.0.0.1:{server.getsockname()[1]}/a", 1000)
        thread.join()
    assert caught.value.passing


def test_nobody_there(fetcher: Fetcher) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(FetchError, match="ConnectError") as caught:
        fetcher.get(f"http://127.0.0.1:{port}/a", 100)
    assert not caught.value.passing


def test_a_name_that_nobody_knows() -> None:
    def unknown(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror(-2, "Name or service not known")

    with Fetcher(unknown) as fetcher, pytest.raises(FetchError, match=r'"nowhere\.example" is not known'):
        fetcher.get("https://nowhere.example/a", 100)
