"""What the wizard needs of whoever answers: a screen, a choice, a text, a yes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from rich.console import RenderableType

from simpletuner.assemble.configure.steps import Choice


class Door(Protocol):
    """Asks a person. Every question raises KeyboardInterrupt when they have had enough."""

    def screen(self, title: str, place: str) -> None:
        """Begin a new screen; ``place`` says how far they are."""
        ...

    def show(self, what: RenderableType) -> None:
        """Show something above the question."""
        ...

    def choose(self, question: str, choices: Sequence[Choice], default: str) -> str:
        """The value of one of ``choices``."""
        ...

    def write(self, question: str, default: str, complaint: Callable[[str], str], *, folder: bool = False) -> str:
        """A text of which ``complaint`` says nothing; ``folder`` completes paths."""
        ...

    def agree(self, question: str, *, default: bool) -> bool:
        """Yes or no."""
        ...
