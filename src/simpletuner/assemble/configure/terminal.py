"""A person at a terminal: the one door to questionary."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import questionary
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.text import Text

from simpletuner.assemble.configure.steps import Choice

_WIDTH = 80
_STYLE = questionary.Style(
    [
        ("qmark", "fg:ansicyan"),
        ("question", "bold"),
        ("answer", "fg:ansicyan"),
        ("pointer", "fg:ansicyan bold"),
        ("highlighted", "fg:ansicyan bold"),
        ("selected", "noinherit"),
        ("instruction", "fg:ansibrightblack"),
    ]
)


class Terminal:
    """Implements :class:`~simpletuner.assemble.configure.door.Door`."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._console.width = min(_WIDTH, self._console.width)

    def screen(self, title: str, place: str) -> None:
        """Clear the screen and say where we are."""
        self._console.clear()
        head = Text(f" {title}", style="bold cyan")
        space = self._console.width - len(head) - len(place) - 1
        self._console.print(head.append(" " * max(1, space)).append(place, style="not bold dim"))
        self._console.rule(style="dim")
        self._console.print()

    def show(self, what: RenderableType) -> None:
        """Print it, one column in."""
        self._console.print(Padding(what, (0, 1)))

    def choose(self, question: str, choices: Sequence[Choice], default: str) -> str:
        """Arrow keys, then Enter."""
        width = max(len(choice.title) for choice in choices) + 2
        shown = [
            questionary.Choice([("", choice.title.ljust(width)), ("fg:ansibrightblack", choice.note)], choice.value)
            for choice in choices
        ]
        first = next((made for made in shown if made.value == default), shown[0])
        self._console.print()
        # Afterwards only what was chosen stays: with the notes a line would be too long.
        keys = "(arrows, Enter)"
        asked = questionary.select(
            question, shown, default=first, style=_STYLE, qmark=" ?", instruction=keys, erase_when_done=True
        )
        chosen = str(asked.unsafe_ask())
        title = next(choice.title for choice in choices if choice.value == chosen)
        self._console.print(Text.assemble((" ? ", "cyan"), (f"{question} ", "bold"), (title, "cyan")))
        return chosen

    def write(self, question: str, default: str, complaint: Callable[[str], str], *, folder: bool = False) -> str:
        """A line that is edited in place."""

        def judged(text: str) -> bool | str:
            return complaint(text) or True

        self._console.print()
        if folder:
            asked = questionary.path(
                question, default, only_directories=True, validate=judged, style=_STYLE, qmark=" ?"
            )
        else:
            asked = questionary.text(question, default, validate=judged, style=_STYLE, qmark=" ?")
        return str(asked.unsafe_ask()).strip()

    def agree(self, question: str, *, default: bool) -> bool:
        """The letters y and n."""
        self._console.print()
        return bool(questionary.confirm(question, default, style=_STYLE, qmark=" ?").unsafe_ask())
