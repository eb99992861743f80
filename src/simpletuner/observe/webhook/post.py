"""One POST to a receiver, which is never led elsewhere. The door to http of what a run tells."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Literal

import httpx2

from simpletuner.config.files.webhooks import Webhook
from simpletuner.core.addresses import Resolve, is_address, is_loopback, is_public, resolve
from simpletuner.observe.webhook.body import Body

_SECONDS = 5.0
_LONGEST_WAIT = 60.0
_TOO_MANY = 429
# They log each request with its address, whose path is the password, and their debug lines have every header.
_TALKATIVE = ("httpx2", "httpcore2")


@dataclass(frozen=True)
class Answer:
    """What became of a POST. ``wait``: seconds that the receiver asks for before the next; ``reason`` has no secret.

    ``sent``; ``again``, the same may succeed later; ``unheard``, nobody answers; ``refused``, it never will.
    """

    outcome: Literal["sent", "again", "unheard", "refused"]
    reason: str = ""
    wait: float = 0.0


class Poster:
    """Posts to one webhook, from one thread. Redirects are not followed and no answer is read.

    The name is looked up for each POST, and the address that was checked is the one that is connected to.
    """

    def __init__(self, webhook: Webhook, resolve_host: Resolve = resolve) -> None:
        self._webhook = webhook
        self._resolve = resolve_host
        self._url = httpx2.URL(webhook.url.get_secret_value())
        # As it is written on the wire: `URL.host` would decode xn--..., which may be none.
        self._host = self._url.raw_host.decode().strip("[]")
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)
        self._client = httpx2.Client(
            timeout=_SECONDS,
            verify=webhook.verify,
            # A kept connection is known by its address only, and two hosts may share one.
            limits=httpx2.Limits(max_keepalive_connections=0),
            # A proxy of the environment cannot reach a receiver on this machine.
            trust_env=not is_loopback(self._host),
        )

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    def post(self, body: Body) -> Answer:
        """Send ``body``; never raises for what a network or a receiver does."""
        try:
            addresses = self._addresses()
        except (OSError, UnicodeError):
            return Answer("unheard", "its name is not known")
        private = [address for address in addresses if not self._is_allowed(address)]
        if private:
            return Answer("refused", f'its name leads to the private address {private[0]}: "allow_private" is not set')
        answers = (self._try(address, body) for address in addresses)
        refused = Answer("again", "the connection is refused")
        return next((answer for answer in answers if answer is not None), refused)

    def _addresses(self) -> Sequence[str]:
        if is_address(self._host):
            return [self._host]
        port = self._url.port or (443 if self._url.scheme == "https" else 80)
        return self._resolve(self._host, port)

    def _is_allowed(self, address: str) -> bool:
        is_literal = address == self._host and is_loopback(address)
        return is_literal or self._webhook.allow_private or is_public(address)

    def _try(self, address: str, body: Body) -> Answer | None:
        """The answer of one address; None when nothing listens there."""
        request = self._client.build_request(
            "POST",
            self._url.copy_with(host=address),
            content=body.content,
            headers=self._headers(body),
            extensions={} if is_address(self._host) else {"sni_hostname": self._host},
        )
        try:
            response = self._client.send(request, stream=True)
        except httpx2.ConnectError:
            return None
        except httpx2.TimeoutException:
            return Answer("unheard", f"no answer in {_SECONDS:g} seconds")
        except httpx2.HTTPError as error:
            return Answer("unheard", f"the connection failed ({type(error).__name__})")
        # Closed unread: an answer of any length costs nothing.
        response.close()
        return _judged(response.status_code, response.headers.get("retry-after"))

    def _headers(self, body: Body) -> dict[str, str]:
        token = self._webhook.auth_token
        return {
            "Host": self._url.netloc.decode(),
            "User-Agent": "simpletuner",
            "Content-Type": body.content_type,
            **({"X-API-Key": token.get_secret_value()} if token else {}),
        }


def _judged(status: int, retry_after: str | None) -> Answer:
    if status < 300:
        return Answer("sent")
    if status == _TOO_MANY or status >= 500:
        return Answer("again", f"it answers {status}", seconds_asked(retry_after))
    redirected = ", and no redirect is followed" if status < 400 else ""
    return Answer("refused", f"it answers {status}{redirected}")


def seconds_asked(retry_after: str | None) -> float:
    """Seconds that a Retry-After header asks for, as a number or a date, at most a minute; 0 for none."""
    if not retry_after:
        return 0.0
    try:
        seconds = float(retry_after)
    except ValueError:
        seconds = _until(retry_after)
    return min(_LONGEST_WAIT, max(0.0, seconds)) if math.isfinite(seconds) else 0.0


def _until(date: str) -> float:
    try:
        found = parsedate_to_datetime(date)
    except ValueError:
        return 0.0
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() - time.time()
