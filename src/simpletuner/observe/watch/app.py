"""The pages of `simpletuner watch`: one of HTML, its state, pictures, and the path that a webhook is sent to."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from simpletuner.observe.watch.board import Board
from simpletuner.observe.watch.folder import RunFolder, thinned
from simpletuner.observe.watch.guard import Guard

_PAGE = Path(__file__).with_name("page.html")
_LOOK = Path(__file__).parents[1] / "look.css"
_LONGEST = 64 << 20
_MOST_POINTS = 1500


def build_app(token: str, port: int, folder: RunFolder | None) -> ASGIApp:
    """The application behind ``http://127.0.0.1:<port>/<token>/``; ``folder`` is shown beside what is received."""
    pages = _Pages(folder)
    routes = [
        Route("/", pages.page),
        Route("/state", pages.state),
        Route("/picture/{name:path}", pages.picture),
        Route("/webhook", pages.webhook, methods=["POST"]),
    ]
    return Guard(Starlette(routes=routes), token, port)


class _Pages:
    def __init__(self, folder: RunFolder | None) -> None:
        self._board = Board()
        self._folder = folder
        self._html = _PAGE.read_text("utf-8").replace("{look}", _LOOK.read_text("utf-8"))

    async def page(self, _request: Request) -> Response:
        """The page. Its script and style run by a number of their own, and nothing else can."""
        nonce = secrets.token_urlsafe(16)
        allowed = f"script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src 'self'; connect-src 'self'"
        policy = f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        return HTMLResponse(self._html.replace("{nonce}", nonce), headers={"Content-Security-Policy": policy})

    # Not `async`: files are read, and the page must answer meanwhile.
    def state(self, _request: Request) -> Response:
        """Everything that the page shows, as JSON."""
        board, folder = self._board, self._folder
        received = [{"name": one.name, "caption": one.caption} for one in tuple(board.pictures) if not one.is_preview]
        shown: dict[str, Any] = {
            "name": board.name,
            "points": (folder.points() if folder else []) or thinned(list(board.points), _MOST_POINTS),
            "pictures": (folder.pictures() if folder else []) or received[::-1],
            "previews": [{"name": one.name, "caption": one.caption} for one in tuple(board.pictures) if one.is_preview],
            "files": folder.files() if folder else [],
            "status": board.status,
            "stages": list(board.stages.values()),
            "messages": list(board.messages),
        }
        return JSONResponse(shown)

    def picture(self, request: Request) -> Response:
        """A received picture, or a file of the run that may be shown."""
        name = request.path_params["name"]
        content = self._board.picture(name)
        if content is not None:
            return Response(content, media_type="image/png")
        found = self._folder.open(name) if self._folder else None
        return FileResponse(found[0], media_type=found[1]) if found else PlainTextResponse("no such file", 404)

    async def webhook(self, request: Request) -> Response:
        """Take one message of a raw webhook."""
        content = bytearray()
        async for piece in request.stream():
            content += piece
            if len(content) > _LONGEST:
                return PlainTextResponse("too large", 413)
        try:
            message = json.loads(content)
        except (ValueError, RecursionError):
            return PlainTextResponse("not JSON", 400)
        if not isinstance(message, dict):
            return PlainTextResponse("not an object", 400)
        self._board.take(message)
        return Response(status_code=204)
