"""Messages that wait: a bounded queue that never lets the one who puts wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from simpletuner.observe.webhook.message import Message

_MOST = 256
_MOST_BYTES = 64 << 20


class Outbox:
    """At most ``most`` messages, whose pictures in memory hold at most ``most_bytes``.

    A message takes the place of a waiting one of its kind (``Message.replaces``). When there is no room the oldest
    preview goes first, then the oldest that something newer would replace anyway, then the oldest. ``lost`` counts
    what went.
    """

    def __init__(self, most: int = _MOST, most_bytes: int = _MOST_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._waiting: list[Message] = []
        self._changed = threading.Condition()
        self._is_closing = False
        self.lost = 0

    def put(self, message: Message) -> None:
        """Let it wait its turn."""
        with self._changed:
            place = _first(self._waiting, lambda waiting: _is_newer(message, waiting))
            if place is None:
                self._waiting.append(message)
            else:
                # In its place: moved to the end with each step, it would never be sent while others wait.
                self._waiting[place] = message
            self._make_room()
            self._changed.notify_all()

    def has_newer(self, message: Message) -> bool:
        """Whether a message waits that replaces ``message``."""
        with self._changed:
            return any(_is_newer(waiting, message) for waiting in self._waiting)

    def take(self) -> Message | None:
        """The next message, waited for; None when the box is closing and empty. Then previews come last."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closing)
            if not self._waiting:
                return None
            found = _first(self._waiting, lambda message: not message.is_preview) if self._is_closing else 0
            return self._waiting.pop(found or 0)

    def lose(self, count: int = 1) -> None:
        """Count messages that could not be delivered."""
        with self._changed:
            self.lost += count

    def close(self, most: int) -> int:
        """Nothing more is put; of what waits, ``most`` messages may still be taken, the last ones. How many wait."""
        with self._changed:
            self._most = min(self._most, most)
            self._make_room()
            self._is_closing = True
            self._changed.notify_all()
            return len(self._waiting)

    def empty(self) -> int:
        """Give up what waits; how many were lost in all."""
        with self._changed:
            self.lost += len(self._waiting)
            self._waiting = []
            return self.lost

    def _make_room(self) -> None:
        while len(self._waiting) > self._most or sum(message.weight for message in self._waiting) > self._most_bytes:
            preview = _first(self._waiting, lambda message: message.is_preview)
            passing = _first(self._waiting, lambda message: bool(message.replaces))
            victim = next((place for place in (preview, passing) if place is not None), 0)
            del self._waiting[victim]
            self.lost += 1


def _is_newer(message: Message, former: Message) -> bool:
    return bool(former.replaces) and message.replaces == former.replaces


def _first(messages: Iterable[Message], test: Callable[[Message], bool]) -> int | None:
    return next((place for place, message in enumerate(messages) if test(message)), None)
