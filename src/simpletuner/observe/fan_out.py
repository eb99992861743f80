"""One event to every listener; a listener that fails is told about once and never stops the run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from simpletuner.core.events import Event

_log = logging.getLogger(__name__)


class Listener(Protocol):
    """Hears what the run tells. It may keep files or a screen; it never decides anything."""

    def hear(self, event: Event) -> None:
        """Take note of one event, quickly: the loop waits for it."""

    def close(self) -> None:
        """Write out and let go of what is held. No event follows."""


class FanOut:
    """Passes each event to each listener, in the order given. Call it as an ``Emit``."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._listeners = tuple(listeners)
        self._told: set[tuple[str, str]] = set()

    def __call__(self, event: Event) -> None:
        """Let every listener hear ``event``; none of them can raise into the caller."""
        for listener in self._listeners:
            self._guard(listener, lambda heard=listener: heard.hear(event))  # type: ignore[misc]

    def close(self) -> None:
        """Close every listener, also after one of them fails to."""
        for listener in self._listeners:
            self._guard(listener, listener.close)

    def _guard(self, listener: Listener, act: Callable[[], None]) -> None:
        try:
            act()
        # The one broad except of the project: a listener is somebody's screen, disk or server, so what it may raise
        # cannot be listed, and none of it is worth the weights that the run is making.
        except Exception as error:  # noqa: BLE001
            self._tell_once(listener, error)

    def _tell_once(self, listener: Listener, error: Exception) -> None:
        kind = (type(listener).__name__, type(error).__name__)
        if kind in self._told:
            return
        self._told.add(kind)
        _log.warning("%s failed, training goes on (told once): %s: %s", *kind, error)
        _log.debug("where it failed", exc_info=error)
