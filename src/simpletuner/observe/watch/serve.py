"""The page's server: loopback only, with a token that is told once."""

from __future__ import annotations

import re
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp

from simpletuner.core.errors import ConfigError

TOKEN = "SIMPLETUNER_WATCH_TOKEN"
_FORM = re.compile(r"[A-Za-z0-9_-]{16,}")


@dataclass(frozen=True)
class Place:
    """Where the page is; ``token`` is a secret."""

    port: int
    token: str

    @property
    def address(self) -> str:
        """The page's address, with its token."""
        return f"http://127.0.0.1:{self.port}/{self.token}/"

    @property
    def webhook(self) -> str:
        """What a run's configuration says to be watched."""
        return f'"webhook_config": {{"webhook_type": "raw", "webhook_url": "{self.address}webhook"}}'


def listen(port: int) -> socket.socket:
    """A socket on loopback; port 0 takes a free one. Raises ConfigError when the port is taken."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        listening.close()
        reason = f"port {port} cannot be listened on: {error}"
        raise ConfigError(reason, key="--port", cure="use --port 0, or stop the program that has it") from None
    return listening


def make_token(environ: Mapping[str, str]) -> str:
    """A new token, or the one the environment asks for, which then stays the same. Raises ConfigError."""
    given = environ.get(TOKEN, "")
    if given and not _FORM.fullmatch(given):
        cure = "use at least 16 letters, digits, - and _, or unset it"
        raise ConfigError("is too short, or has other characters", key=TOKEN, cure=cure)
    return given or secrets.token_urlsafe(24)


def make_server(app: ASGIApp) -> uvicorn.Server:
    """A server that writes no log: each line of it would hold the token."""
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", http="h11", ws="none", server_header=False
    )
    return uvicorn.Server(config)
