"""Events that wait for a tracker: bounded, and never a reason for the run to wait."""

from __future__ import annotations

import threading
from collections import deque

from simpletuner.core.events import StepDone
from simpletuner.observe.trackers.wire import Sent

_MOST = 10_000


class Waiting:
    """At most ``most`` events. With no room the oldest step goes, then the oldest; ``lost`` counts what went."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._events: deque[Sent] = deque()
        self._changed = threading.Condition()
        self._is_closing = False
        self.lost = 0

    def put(self, event: Sent) -> None:
        """Let it wait its turn."""
        with self._changed:
            if len(self._events) >= self._most:
                self._make_room()
            self._events.append(event)
            self._changed.notify_all()

    def take(self) -> Sent | None:
        """The next event, waited for; None when all are taken and none will come."""
        with self._changed:
            self._changed.wait_for(lambda: self._events or self._is_closing)
            return self._events.popleft() if self._events else None

    def close(self) -> None:
        """Nothing more is put."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()

    def empty(self) -> None:
        """Give up what waits."""
        with self._changed:
            self.lost += len(self._events)
            self._events.clear()

    def _make_room(self) -> None:
        # Nearly always the first: what is rare is kept, what comes a thousand times can miss one.
        place = next((number for number, event in enumerate(self._events) if isinstance(event, StepDone)), 0)
        del self._events[place]
        self.lost += 1
