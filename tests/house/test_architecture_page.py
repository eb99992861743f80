"""docs/architecture.md names every room and module that exists, and none that does not."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "simpletuner"
PAGE = ROOT / "docs" / "architecture.md"

# `### \`data/\`` opens a room; in its table each row starts with one or more modules: | `plan.py`, `slices.py` | ...
_ROOM = re.compile(r"^### `([\w/]+)/`", re.MULTILINE)
_ROW = re.compile(r"^\|((?: ?`[\w/]+\.py`,?)+) \|", re.MULTILINE)
_MODULE = re.compile(r"`([\w/]+\.py)`")


def modules_told(page: str) -> set[str]:
    """Every module that the tables name, with its room in front."""
    pieces = _ROOM.split(page)
    rooms = [("", pieces[0]), *((f"{room}/", text) for room, text in zip(pieces[1::2], pieces[2::2], strict=True))]
    return {f"{room}{name}" for room, text in rooms for row in _ROW.findall(text) for name in _MODULE.findall(row)}


def modules_there(source: Path) -> set[str]:
    """Every module of the package; an `__init__.py` is its room's name, not a module to look up."""
    found = (path.relative_to(source).as_posix() for path in source.rglob("*.py"))
    return {name for name in found if not name.endswith("__init__.py")}


def test_every_module_has_its_row_and_every_row_its_module() -> None:
    told, there = modules_told(PAGE.read_text(encoding="utf-8")), modules_there(SOURCE)
    assert (sorted(there - told), sorted(told - there)) == ([], []), "(not on the page, no longer in the tree)"


def test_every_room_has_its_heading() -> None:
    rooms = {path.parent.relative_to(SOURCE).as_posix() for path in SOURCE.glob("*/__init__.py")}
    headings = set(_ROOM.findall(PAGE.read_text(encoding="utf-8")))
    assert (sorted(rooms - headings), sorted(heading for heading in headings if heading not in rooms)) == ([], [])


def test_the_page_is_really_read(tmp_path: Path) -> None:
    page = "| `assemble.py` | all |\n### `data/`\n| `plan.py`, `omni/slices.py` | one |\nsee `other.py` |\n"
    assert modules_told(page) == {"assemble.py", "data/plan.py", "data/omni/slices.py"}
    (tmp_path / "data").mkdir()
    for name in ("assemble.py", "data/plan.py", "data/__init__.py"):
        (tmp_path / name).touch()
    assert modules_there(tmp_path) == {"assemble.py", "data/plan.py"}
