"""The errors a user can meet, each with the exit code that the command line ends with."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from typing import Any


class ExitCode(IntEnum):
    """Process exit codes; scripts outside the project rely on them."""

    OK = 0
    BUG = 1
    CONFIG = 2
    DATA = 3
    MEMORY = 4
    PUBLISH = 5
    NON_FINITE = 6
    INTERRUPTED = 130
    TERMINATED = 143


class SimpletunerError(Exception):
    """A mistake or a mishap that the user can act on.

    The message names, where they are known, the file, the key, the reason and the cure, so that no traceback
    is needed to act on it.
    """

    exit_code = ExitCode.BUG

    def __init__(
        self, reason: str, *, file: Path | str | None = None, key: str | None = None, cure: str | None = None
    ) -> None:
        """Keep the parts apart so that a caller can add the file it knows and a lower floor does not."""
        self.reason = reason
        self.file = file
        self.key = key
        self.cure = cure
        super().__init__(self.message())

    def message(self) -> str:
        """One or two lines: ``file: key: reason`` and, below it, the cure."""
        where = ": ".join(str(part) for part in (self.file, self.key) if part)
        line = f"{where}: {self.reason}" if where else self.reason
        return f"{line}\n  cure: {self.cure}" if self.cure else line


class ConfigError(SimpletunerError):
    """Anything wrong that can be read from the files given, missing paths among them."""

    exit_code = ExitCode.CONFIG


class DataError(SimpletunerError):
    """Something found while reading data or the output folder."""

    exit_code = ExitCode.DATA


class OutOfMemory(SimpletunerError):
    """The device or the host ran out of memory."""

    exit_code = ExitCode.MEMORY


class PublishError(SimpletunerError):
    """The result is whole on this machine, and could not be uploaded."""

    exit_code = ExitCode.PUBLISH


class NonFiniteError(SimpletunerError):
    """A loss, gradient, latent or weight became NaN or infinite. ``files`` are all pictures that took part in it."""

    exit_code = ExitCode.NON_FINITE

    def __init__(self, reason: str, *, files: tuple[str, ...] = (), cure: str | None = None) -> None:
        self.files = files
        super().__init__(reason, cure=cure)


class Interrupted(SimpletunerError):
    """SIGINT ended the run after its checkpoint."""

    exit_code = ExitCode.INTERRUPTED


class Terminated(SimpletunerError):
    """SIGTERM ended the run after its checkpoint."""

    exit_code = ExitCode.TERMINATED


class ToldError(SimpletunerError):
    """What ended another process of the run. That one says it to the user."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        """``told`` is what :func:`as_told` made of the other process's error."""
        super().__init__(told["reason"], file=told["file"], key=told["key"], cure=told["cure"])
        self.exit_code = ExitCode(told["code"])


def as_told(error: BaseException) -> dict[str, Any]:
    """An error in plain JSON values, for the other processes of a run; one that no user can act on is a bug of ours."""
    if not isinstance(error, SimpletunerError):
        reason = f"{type(error).__name__}: {error}"
        return {"reason": reason, "file": None, "key": None, "cure": None, "code": ExitCode.BUG}
    where = str(error.file) if error.file else None
    return {"reason": error.reason, "file": where, "key": error.key, "cure": error.cure, "code": error.exit_code}
