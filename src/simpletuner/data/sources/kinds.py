"""Which names are pictures, which are captions, and which are nobody's: one rule for every source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from simpletuner.data.entries import Dropped, printable
from simpletuner.data.sources.base import Facts, Listing

PICTURE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
)
# Pictures to their owner, but not to us: they are reported, any other file is passed over.
FOREIGN_SUFFIXES = frozenset(
    (".heic", ".heif", ".jxl", ".jp2", ".psd", ".svg", ".eps", ".ico", ".tga", ".exr", ".hdr", ".dng", ".cr2", ".nef")
)
TEXT_SUFFIX = ".txt"
# The files whose version somebody will ask for.
LISTED_SUFFIXES = PICTURE_SUFFIXES | FOREIGN_SUFFIXES | {TEXT_SUFFIX}
_HOUSEKEEPING = frozenset(("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"))


def suffix(name: str) -> str:
    """What follows the last dot of a name, with the dot, in lower case; "" without one."""
    dot = name.rfind(".")
    return name[dot:].lower() if dot >= 0 else ""


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is passed over: hidden, or made by an operating system."""
    return name.startswith(".") or name in _HOUSEKEEPING


def is_below_hidden(path: str) -> bool:
    """Whether any part of a relative path is passed over."""
    return any(is_hidden(part) for part in path.split("/"))


@dataclass
class Sorter:
    """Collects what a walk finds and makes the listing of it."""

    files: dict[str, str] = field(default_factory=dict)
    dropped: list[Dropped] = field(default_factory=list)

    def drop(self, path: str, reason: str, cure: str) -> None:
        """Note a picture, or a place, that cannot be used."""
        self.dropped.append(Dropped(printable(path), reason, cure))

    def listing(self, facts: Mapping[str, Facts] | None = None) -> Listing:
        """``files`` (path to version) sorted into pictures, texts and what is refused."""
        pictures: dict[str, str] = {}
        texts: dict[str, str] = {}
        for path, version in sorted(self.files.items()):
            kind = suffix(path)
            if kind == TEXT_SUFFIX:
                texts[path] = version
            elif kind in FOREIGN_SUFFIXES:
                self.drop(path, f"{kind} files are not supported", "convert it to PNG, JPEG or WebP")
            elif kind in PICTURE_SUFFIXES and not _is_text(path):
                self.drop(path, "its name is not valid UTF-8", "rename the file")
            elif kind in PICTURE_SUFFIXES:
                pictures[path] = version
        return Listing(pictures, texts, tuple(self.dropped), facts or {})


def _is_text(path: str) -> bool:
    # isascii first: it is what nearly every one of 100,000 names is.
    return path.isascii() or printable(path) == path


def sample(names: Iterable[str], limit: int = 8) -> str:
    """The first names of many, for a message."""
    found = list(names)
    more = f" and {len(found) - limit} more" if len(found) > limit else ""
    return ", ".join(found[:limit]) + more
