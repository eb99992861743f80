"""What is done when a block ends with an error, whatever it is. The error is passed on, always."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType


class OnError(AbstractContextManager[None]):
    """Calls ``act`` with whatever leaves the block as an error, KeyboardInterrupt and SystemExit too."""

    def __init__(self, act: Callable[[BaseException], object]) -> None:
        self._act = act

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Act, and let the error go on."""
        del kind, trace
        if error is not None:
            self._act(error)
