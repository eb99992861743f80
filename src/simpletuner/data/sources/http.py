"""Fetching over http without being led to places that the user did not name."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import httpx2

from simpletuner.core.addresses import Resolve, is_address, is_loopback, is_public, resolve
from simpletuner.core.errors import DataError

_HOPS = 5
_CONNECT_SECONDS = 10.0
_SILENCE_SECONDS = 30.0
_WHOLE_SECONDS = 300.0
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_PASSING = frozenset((408, 425, 429, 500, 502, 503, 504))


class FetchError(DataError):
    """Something cannot be fetched. ``passing``: the same request may succeed a moment later."""

    def __init__(self, reason: str, *, cure: str, passing: bool = False) -> None:
        super().__init__(reason, cure=cure)
        self.passing = passing


class Fetcher:
    """Fetches from several threads at once; http and https only.

    A name may not lead to a private, loopback or link-local address, at no hop, and the address that was checked is
    the one that is connected to. A loopback address that the user wrote literally is taken at the user's word.
    """

    def __init__(self, resolve_host: Resolve = resolve) -> None:
        self._resolve = resolve_host
        self._client = httpx2.Client(
            timeout=httpx2.Timeout(_SILENCE_SECONDS, connect=_CONNECT_SECONDS),
            # A kept connection is known by its address only, and two hosts may share one.
            limits=httpx2.Limits(max_keepalive_connections=0),
            headers={"User-Agent": "simpletuner", "Accept": "*/*", "Accept-Encoding": "identity"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()

    def get(self, address: str, limit: int) -> bytes:
        """The body behind a URL, at most ``limit`` bytes. Raises :class:`FetchError`."""
        url, deadline, trusted = _parsed(address), time.monotonic() + _WHOLE_SECONDS, ""
        for hop in range(_HOPS + 1):
            if hop == 0 and is_loopback(url.host):
                trusted = _origin(url)
            body = self._hop(url, limit, deadline, is_trusted=_origin(url) == trusted)
            if isinstance(body, bytes):
                return body
            url = _parsed(body, url)
        raise FetchError(f"it redirects more than {_HOPS} times", cure="use the final address")

    def _hop(self, url: httpx2.URL, limit: int, deadline: float, *, is_trusted: bool) -> bytes | str:
        """The body, or the address that the answer redirects to."""
        fault: httpx2.HTTPError | None = None
        for address in [url.host] if is_trusted else self._public(url):
            request = self._client.build_request(
                "GET",
                url.copy_with(host=address),
                headers={"Host": url.netloc.decode()},
                extensions={"sni_hostname": url.raw_host.decode()} if not is_address(url.host) else {},
            )
            try:
                return self._answer(request, limit, deadline)
            except httpx2.ConnectError as error:
                fault = error
            except httpx2.HTTPError as error:
                raise _told(error) from error
        raise _told(fault) from fault

    def _answer(self, request: httpx2.Request, limit: int, deadline: float) -> bytes | str:
        response = self._client.send(request, stream=True)
        try:
            if response.status_code in _REDIRECTS and "location" in response.headers:
                return str(response.headers["location"])
            if response.status_code != 200:
                raise FetchError(
                    f"the server answers {response.status_code} {response.reason_phrase}".rstrip(),
                    cure="check the URL; the next start tries it again",
                    passing=response.status_code in _PASSING,
                )
            return _body(response, limit, deadline)
        finally:
            response.close()

    def _public(self, url: httpx2.URL) -> Sequence[str]:
        """The addresses of a host, all of them public. Raises :class:`FetchError`."""
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            found = self._resolve(url.raw_host.decode().strip("[]"), port)
        except (OSError, UnicodeError) as error:
            raise FetchError(f'the host "{url.host}" is not known', cure="check the URL and the network") from error
        for address in found:
            if not is_public(address):
                raise FetchError(
                    f'"{url.host}" is the private address {address}, which nothing may be fetched from',
                    cure="copy the pictures to a folder; a server on this machine is written as 127.0.0.1",
                )
        return found


def _parsed(address: str, base: httpx2.URL | None = None) -> httpx2.URL:
    try:
        url = base.join(address) if base else httpx2.URL(address)
    except (httpx2.InvalidURL, ValueError) as error:
        raise FetchError(f"it is no URL ({error})", cure="correct it") from error
    if (url.port or 0) >= 1 << 16:
        raise FetchError(f"there is no port {url.port}", cure="correct the address")
    if url.scheme not in {"http", "https"} or not url.host:
        raise FetchError(f'only http and https are fetched, not "{url.scheme}"', cure="use an http or https address")
    return url


def _origin(url: httpx2.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode()}"


def _body(response: httpx2.Response, limit: int, deadline: float) -> bytes:
    body = bytearray()
    for piece in response.iter_bytes():
        body += piece
        if len(body) > limit:
            raise FetchError(f"it is larger than {limit >> 20} MB", cure="use a smaller file")
        if time.monotonic() > deadline:
            raise FetchError("it takes too long", cure="try again, or copy the file to a folder")
    return bytes(body)


def _told(error: httpx2.HTTPError | None) -> FetchError:
    if isinstance(error, httpx2.TimeoutException):
        return FetchError("the server does not answer in time", cure="the next start tries it again")
    passing = error is not None and not isinstance(error, httpx2.ConnectError)
    return FetchError(
        f"the connection failed ({type(error).__name__})", cure="the next start tries it again", passing=passing
    )
