"""Delivers messages on a thread of its own, slowly and patiently: the run never waits for a receiver."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from simpletuner.config.files.webhooks import Webhook
from simpletuner.core.addresses import Resolve, is_loopback, resolve
from simpletuner.observe.webhook.body import body_of
from simpletuner.observe.webhook.message import Message
from simpletuner.observe.webhook.outbox import Outbox
from simpletuner.observe.webhook.post import Answer, Poster

_log = logging.getLogger(__name__)
_MANY = 3


@dataclass(frozen=True)
class Pace:
    """Seconds, except ``tries``.

    ``between`` lies between two POSTs, doubled ``first_wait`` up to ``longest_wait`` after each failure in a row. The
    end waits for ``patience`` after the last delivery, ``at_end`` in all.
    """

    between: float = 1.0
    first_wait: float = 1.0
    longest_wait: float = 60.0
    tries: int = 5
    patience: float = 6.0
    at_end: float = 30.0


def usual_pace(webhook: Webhook) -> Pace:
    """One message a second to the world; a program on this machine may look while a picture is being drawn."""
    here = is_loopback(urlsplit(webhook.url.get_secret_value()).hostname or "")
    return Pace(between=0.1) if here else Pace()


class Sender:
    """Takes from its own :class:`Outbox`; ``put`` returns at once."""

    def __init__(self, webhook: Webhook, pace: Pace | None = None, resolve_host: Resolve = resolve) -> None:
        self._webhook = webhook
        self._pace = pace or usual_pace(webhook)
        self._resolve = resolve_host
        self._outbox = Outbox()
        self._gone = threading.Event()
        self._next = 0.0
        self._failures = 0
        self._ending = 0.0
        self._delivered = time.monotonic()
        self._is_under_way = False
        self._told: set[str] = set()
        self._thread = threading.Thread(target=self._work, name="webhook", daemon=True)
        self._thread.start()

    def put(self, message: Message) -> None:
        """Let it be sent when its turn comes."""
        self._outbox.put(message)

    def expect_end(self) -> None:
        """The end begins: from now on patience is counted, so that several receivers that hang are waited for once."""
        self._ending = self._ending or time.monotonic()

    def close(self) -> int:
        """Deliver what waits, as long as that goes on; how many messages were lost in all, which is logged."""
        left = self._outbox.close(int(self._pace.at_end / self._pace.between))
        if left > _MANY:
            told = "%s: %d messages are on their way; they are waited for, at most %d s"
            _log.warning(told, self._webhook.place, left, self._pace.at_end)
        self.expect_end()
        while self._thread.is_alive() and not self._is_hopeless(self._ending):
            self._thread.join(0.05)
        self._gone.set()
        lost = self._outbox.empty() + self._is_under_way
        if lost:
            _log.warning("%s: %d messages were not delivered", self._webhook.place, lost)
        return lost

    def _is_hopeless(self, began: float) -> bool:
        now = time.monotonic()
        return now - began > self._pace.at_end or now - max(began, self._delivered) > self._pace.patience

    def _work(self) -> None:
        # Making a client reads certificates: not on the thread that trains.
        poster = Poster(self._webhook, self._resolve)
        try:
            while not self._gone.is_set() and (message := self._outbox.take()):
                self._is_under_way = True
                self._deliver(poster, message)
                self._is_under_way = self._gone.is_set()
        finally:
            poster.close()

    def _deliver(self, poster: Poster, message: Message) -> None:
        """Try until it is sent, is known not to be, or has been overtaken by a newer one."""
        body = body_of(message, self._webhook.kind)
        for _ in range(self._pace.tries):
            if self._gone.wait(max(0.0, self._next - time.monotonic())) or self._outbox.has_newer(message):
                return
            started = time.monotonic()
            answer = poster.post(body)
            self._note(answer, started)
            if answer.outcome == "sent":
                return
            if answer.outcome != "again":
                break
        self._outbox.lose()

    def _note(self, answer: Answer, started: float) -> None:
        """When the next POST may begin; a failure is told once for each reason."""
        now = time.monotonic()
        if answer.outcome == "sent":
            self._failures, self._delivered = 0, now
            self._next = started + self._pace.between
            return
        wait = answer.wait or min(self._pace.longest_wait, self._pace.first_wait * 2**self._failures)
        self._failures = min(self._failures + 1, 30)
        self._next = max(started + self._pace.between, now + wait)
        if answer.reason not in self._told:
            self._told.add(answer.reason)
            _log.warning("%s: %s; training goes on (told once)", self._webhook.place, answer.reason)
