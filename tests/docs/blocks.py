"""Blocks and commands of the documentation, and the table of commands that no test runs."""

from __future__ import annotations

import json
import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
TABLE = ROOT / "docs" / "commands-not-run.md"
SHELLS = ("bash", "sh")
QUICKSTARTS = ("docs/quickstart.md", "docs/ja/quickstart.md")

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`]+)`")
_ASSIGNMENT = re.compile(r"[A-Z_]+=\S*")
_PLAIN_WORD = re.compile(r"[a-z]+")
PROGRAMS = frozenset(
    "simpletuner simpletuner-train simpletuner-configure ./train.sh ./test.sh pip python docker hf huggingface-cli "
    "wandb accelerate torchrun apt git mkdocs pytest source eval cp mkdir bash".split()
)
"""What a command in running text begins with."""
INLINE = "inline"
"""The language of a command in running text."""
_ROW = re.compile(r"^\| `(?P<command>[^`]+)` \| (?P<reason>.+) \|$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block: the page and line where it begins, its language, its text without the page's indentation."""

    page: str
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        """For the name of a test."""
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> tuple[str, ...]:
        """Its commands, each on one line, without comments."""
        joined = self.text.replace("\\\n", " ")
        words = (shlex.split(line, comments=True) for line in joined.splitlines())
        return tuple(shlex.join(found) for found in words if found)


def blocks_of(text: str, page: str) -> Iterator[Block]:
    """The blocks of a page's text, in order."""
    for found in _FENCE.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(page, line, found["language"], textwrap.dedent(found["text"]))


def inline_of(text: str, page: str) -> Iterator[Block]:
    """The commands in a page's running text, in order."""
    # A block keeps its lines, so that the numbers of the others stay.
    prose = _FENCE.sub(lambda found: "\n" * found[0].count("\n"), text)
    for found in _INLINE.finditer(prose):
        command = " ".join(found[1].split())
        if _is_command(command):
            yield Block(page, prose.count("\n", 0, found.start()) + 1, INLINE, command)


def _is_command(code: str) -> bool:
    """Whether it begins with a program and has arguments; `simpletuner train` alone is the name of a command."""
    words = code.split()
    while words and _ASSIGNMENT.fullmatch(words[0]):
        words = words[1:]
    if len(words) < 2 or words[0] not in PROGRAMS:
        return False
    return len(words) > 2 or _PLAIN_WORD.fullmatch(words[1]) is None


def all_blocks() -> list[Block]:
    """Every block of every page, and every command in running text; of a page the blocks first."""
    read = ((path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix()) for path in PAGES)
    return [
        block
        for text, page in read
        for block in (*blocks_of(text, page), *(inline_of(text, page) if ROOT / page != TABLE else ()))
    ]


def rows() -> list[tuple[str, str]]:
    """The rows of the table: the command as :attr:`Block.commands` has it, and why it is there."""
    found = _ROW.finditer(TABLE.read_text(encoding="utf-8"))
    return [(shlex.join(shlex.split(row["command"].replace("\\|", "|"))), row["reason"]) for row in found]


def not_run() -> dict[str, str]:
    """The commands of the table, and why each is there."""
    return dict(rows())


def whole(text: str) -> Any:
    """The JSON of a block; one that shows a single entry of an object is that object."""
    text = text.strip()
    return json.loads(text if text[0] in "{[" else f"{{{text.rstrip(',')}}}")
