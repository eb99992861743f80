"""Who may ask: a program on this machine that knows the token. Everybody else hears nothing."""

from __future__ import annotations

import secrets
from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class Guard:
    """Lets requests to ``/<token>/...`` through, without that part of the path.

    ``Host`` must name this machine, which a name that was rebound to it does not, and ``Origin``, where a browser
    sends one, must be this page.
    """

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app = app
        self._token = token
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        refused = self._refused(Headers(scope=scope))
        _, token, path = [*scope["path"].split("/", 2), "", ""][:3]
        if refused is None and not secrets.compare_digest(token.encode(), self._token.encode()):
            refused = PlainTextResponse("nothing is here", 404)
        answer = refused or self._app
        await answer({**scope, "path": f"/{path}", "root_path": "", "raw_path": None}, receive, _with_headers(send))

    def _refused(self, headers: Headers) -> PlainTextResponse | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if host not in self._hosts:
            return PlainTextResponse("this host is not served", 421)
        if origin is not None and origin != f"http://{host}":
            return PlainTextResponse("another page may not ask", 403)
        return None


def _with_headers(send: Send) -> Send:
    """``send`` that adds what keeps a browser from doing more than showing."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            _add(message)
        await send(message)

    return sending


def _add(message: MutableMapping[str, Any]) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in _HEADERS.items():
        headers.setdefault(name, value)
