"""Which names are pictures, which are captions, and which are nobody's: one rule for every source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from simpletuner.data.entries import Dropped, printable
from simpletuner.data.sources.base import Facts, Listing

# Where a format has several names: .jpe and .pjp are JPEG, .dib is BMP, .mpo is a JPEG with more behind it.
PICTURE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .pjpeg .pjp .mpo .png .apng .webp .gif .bmp .dib .tif .tiff .avif".split()
)
# What a camera saw, as a rule beside the JPEG that it made of it.
RAW_SUFFIXES = frozenset(
    (
        ".dng .arw .srf .sr2 .cr2 .cr3 .crw .nef .nrw .orf .raf .raw .rw2 .rwl .pef .srw .erf .kdc .dcr .mrw .mef .mos "
        ".iiq .3fr .fff .x3f"
    ).split()
)
# Pictures to their owner, but not to us: they are reported, any other file is passed over.
FOREIGN_SUFFIXES = RAW_SUFFIXES | frozenset(
    (
        ".heic .heics .heif .heifs .hif .avifs .jxl .jxr .wdp .jp2 .j2k .j2c .jpc .jpf .jpx .jpm .bpg .qoi .flif "
        ".psd .psb .xcf .kra .clip .svg .svgz .eps .ai .wmf .emf .ico .cur .icns .tga .pcx .pict .sgi .rgb .ras .dds "
        ".exr .hdr .ppm .pgm .pbm .pnm .pam .pfm .xbm .xpm"
    ).split()
)
TEXT_SUFFIX = ".txt"
# The files whose version somebody will ask for.
LISTED_SUFFIXES = PICTURE_SUFFIXES | FOREIGN_SUFFIXES | {TEXT_SUFFIX}
# What lies beside pictures and holds none: tables, texts about them, and what programs leave behind.
_SIDE_SUFFIXES = frozenset(
    (
        ".json .jsonl .csv .tsv .parquet .md .rst .html .htm .xml .yaml .yml .toml .ini .log .xmp .aae .db .sqlite "
        ".sqlite-wal .sqlite-shm .lock .lnk .url .md5 .sha256 .safetensors .npy .npz .pt .py .sh"
    ).split()
)
_SIDE_NAMES = frozenset(("README", "LICENSE", "COPYING", "NOTICE"))
_NO_SUFFIX = "no suffix"
_LONGEST_SUFFIX = 16
_KINDS = 8
_HOUSEKEEPING = frozenset(("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"))


def suffix(name: str) -> str:
    """What follows the last dot of a name, with the dot, in lower case; "" without one."""
    dot = name.rfind(".")
    return name[dot:].lower() if dot >= 0 else ""


def stem(path: str) -> str:
    """A path without its :func:`suffix`."""
    return path[: len(path) - len(suffix(path))]


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is passed over: hidden, or made by an operating system."""
    return name.startswith(".") or name in _HOUSEKEEPING


def is_below_hidden(path: str) -> bool:
    """Whether any part of a relative path is passed over."""
    return any(is_hidden(part) for part in path.split("/"))


@dataclass
class Sorter:
    """Collects what a walk finds and makes the listing of it.

    ``passed`` counts files of other kinds by suffix; ``again`` are links to folders that were walked already.
    """

    files: dict[str, str] = field(default_factory=dict)
    dropped: list[Dropped] = field(default_factory=list)
    passed: Counter[str] = field(default_factory=Counter)
    again: list[str] = field(default_factory=list)

    def drop(self, path: str, reason: str, cure: str) -> None:
        """Note a picture, or a place, that cannot be used."""
        self.dropped.append(Dropped(printable(path), reason, cure))

    def pass_over(self, path: str) -> None:
        """Count a file that is neither a picture nor a text, unless its kind usually lies beside pictures."""
        name = path.rpartition("/")[2]
        kind = suffix(name)
        if name and name not in _SIDE_NAMES and kind not in _SIDE_SUFFIXES:
            is_one = 1 < len(kind) <= _LONGEST_SUFFIX and not any(letter.isspace() for letter in kind)
            self.passed[printable(kind) if is_one else _NO_SUFFIX] += 1

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
        return Listing(pictures, texts, tuple(self.dropped), facts or {}, self._notes())

    def _notes(self) -> tuple[str, ...]:
        notes = []
        if self.passed:
            ordered = sorted(self.passed.items(), key=lambda item: (-item[1], item[0]))
            kinds = sample((f"{kind} ({count})" for kind, count in ordered), _KINDS)
            notes.append(
                f"{self.passed.total()} other files passed over: {kinds}; a picture among them needs the suffix of its "
                "format, such as .jpg"
            )
        if self.again:
            names = sample(printable(path) for path in sorted(self.again))
            notes.append(f"folders that are reached twice are used once; these links were not followed: {names}")
        return tuple(notes)


def _is_text(path: str) -> bool:
    # isascii first: it is what nearly every one of 100,000 names is.
    return path.isascii() or printable(path) == path


def sample(names: Iterable[str], limit: int = 8) -> str:
    """The first names of many, for a message."""
    found = list(names)
    more = f" and {len(found) - limit} more" if len(found) > limit else ""
    return ", ".join(found[:limit]) + more
