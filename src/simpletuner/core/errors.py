"""The errors a user can meet, each with the exit code that the command line ends with."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path


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


class NonFiniteError(SimpletunerError):
    """A loss, gradient, latent or weight became NaN or infinite."""

    exit_code = ExitCode.NON_FINITE


class Interrupted(SimpletunerError):
    """SIGINT ended the run after its checkpoint."""

    exit_code = ExitCode.INTERRUPTED


class Terminated(SimpletunerError):
    """SIGTERM ended the run after its checkpoint."""

    exit_code = ExitCode.TERMINATED
