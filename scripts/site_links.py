"""What mkdocs asks while it builds the site: files outside docs/ that pages link to come along, under repository/."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
FOLDER = "repository"
# ](target#anchor), where the target is a path.
_LINK = re.compile(r"\]\((?![a-z]+:|#|/)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add every file outside docs/ that a page links to, and what those link to in turn."""
    waiting = [ROOT / "docs" / file.src_uri for file in files.documentation_pages()]
    known: set[Path] = set()
    while waiting:
        page = waiting.pop()
        new = {path for path in _outside(page) if path.is_file()} - known
        known |= new
        waiting += [path for path in new if path.suffix == ".md"]
    for path in sorted(known):
        files.append(File.generated(config, site_path(path), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: Any, files: Files) -> str:
    """Turn links that cross the border of docs/."""
    return moved(markdown, _place_of(page.file.src_uri))


def _place_of(uri: str) -> Path:
    """The file in the checkout that a page of the site is."""
    inside = uri.removeprefix(f"{FOLDER}/")
    return ROOT / inside if inside != uri else ROOT / "docs" / uri


def site_path(path: Path) -> str:
    """Where a file of the checkout lies in the site."""
    relative = path.relative_to(ROOT)
    return relative.relative_to("docs").as_posix() if relative.parts[0] == "docs" else f"{FOLDER}/{relative.as_posix()}"


def moved(markdown: str, source: Path) -> str:
    """The text of the file ``source`` with its links as the site has them; those into nowhere stay as they are."""

    def turned(link: re.Match[str]) -> str:
        target = _target(source, link[1])
        if not target.is_file() or not target.is_relative_to(ROOT):
            return link[0]
        return f"]({posixpath.relpath(site_path(target), posixpath.dirname(site_path(source)))}{link[2] or ''})"

    return _LINK.sub(turned, markdown)


def _target(source: Path, link: str) -> Path:
    return Path(posixpath.normpath((source.parent / link).as_posix()))


def _outside(page: Path) -> Iterator[Path]:
    targets = (_target(page, link[1]) for link in _LINK.finditer(page.read_text(encoding="utf-8")))
    return (path for path in targets if path.is_relative_to(ROOT) and not path.is_relative_to(ROOT / "docs"))
