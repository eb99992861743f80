"""Hearing that another process has failed while this one waits for it inside of an exchange, where nothing is asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from threading import Event, Thread
from typing import Any

from torch._C._distributed_c10d import Store

_PAUSE_SECONDS = 0.2


class Ear:
    """Asks a store for ``key`` in a thread of its own until something stands there.

    ``told`` is what stands there: a first process that fails takes the store with it, and the others know why.
    """

    def __init__(self, key: str) -> None:
        self.told: Mapping[str, Any] | None = None
        self._key = key
        self._is_closed = Event()
        self._thread: Thread | None = None

    def listen(self, store: Store, heard: Callable[[], None]) -> None:
        """Start; ``heard`` is called once, when ``told`` is known."""
        self._thread = Thread(target=self._ask, args=(store, heard), name="ear", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ask no more; the store may be taken away now."""
        self._is_closed.set()
        if self._thread is not None:
            self._thread.join()

    def _ask(self, store: Store, heard: Callable[[], None]) -> None:
        # A store that is gone has nothing more to say.
        with suppress(RuntimeError):
            while not self._is_closed.wait(_PAUSE_SECONDS):
                if store.check([self._key]):
                    self.told = json.loads(store.get(self._key))
                    heard()
                    return
