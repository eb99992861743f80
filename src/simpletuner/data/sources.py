"""The files of a data set's folder, through fsspec. Listing opens no file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from simpletuner.core.errors import ConfigError
from simpletuner.data.entries import Dropped, PictureError, printable

PICTURE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
)
# Pictures to their owner, but not to us: they are reported, any other file is passed over.
FOREIGN_SUFFIXES = frozenset(
    (".heic", ".heif", ".jxl", ".jp2", ".psd", ".svg", ".eps", ".ico", ".tga", ".exr", ".hdr", ".dng", ".cr2", ".nef")
)
_HOUSEKEEPING = frozenset(("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"))


@dataclass(frozen=True)
class Listing:
    """Relative posix paths, sorted: ``pictures`` to try, every regular file (``files``), and what was refused."""

    pictures: tuple[str, ...]
    files: frozenset[str]
    dropped: tuple[Dropped, ...]


@dataclass(frozen=True)
class FolderSource:
    """A folder and the filesystem that it lies on. ``root`` has no protocol and no final slash."""

    filesystem: Any
    root: str

    @classmethod
    def at(cls, url: str) -> FolderSource:
        """The folder behind a path or an fsspec URL. Raises :class:`ConfigError` when there is none."""
        filesystem, root = fsspec.url_to_fs(url)
        if not filesystem.isdir(root):
            raise ConfigError(
                "instance_data_dir is not a folder that exists", file=url, cure="create it or correct the path"
            )
        return cls(filesystem, root.rstrip("/"))

    def listing(self) -> Listing:
        """Walk the tree. Links are followed, each folder once; hidden and housekeeping names are skipped."""
        return _Walk(self).listing()

    def address(self, path: str) -> str:
        """The filesystem's own name of a relative path."""
        return f"{self.root}/{path}"

    def open(self, path: str) -> IO[bytes]:
        """Open a relative path for reading; the stream seeks. Raises OSError."""
        stream: IO[bytes] = self.filesystem.open(self.address(path), "rb")
        return stream

    def read(self, path: str) -> bytes:
        """All bytes of a relative path. Raises :class:`PictureError` when it cannot be read."""
        try:
            with self.open(path) as stream:
                return stream.read()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise PictureError(f"cannot be read ({reason})", cure="check that it exists and may be read") from error

    def version(self, path: str) -> str:
        """Text that changes whenever the content may have changed. Raises OSError.

        Locally the change time is part of it: it moves even when a file is replaced and its old date put back.
        """
        if isinstance(self.filesystem, LocalFileSystem):
            fact = Path(self.address(path)).stat()
            return f"{fact.st_size}-{fact.st_mtime_ns}-{fact.st_ctime_ns}"
        return str(self.filesystem.ukey(self.address(path)))

    def changed_at(self, path: str) -> float | None:
        """When a local file was last touched, in seconds since the epoch; None elsewhere. Raises OSError."""
        if isinstance(self.filesystem, LocalFileSystem):
            return Path(self.address(path)).stat().st_ctime
        return None


class _Walk:
    """One walk. Real folders come before linked ones, so that a link never renames a picture that lies inside."""

    def __init__(self, source: FolderSource) -> None:
        self._source = source
        self._seen: set[str] = set()
        self._files: list[str] = []
        self._links: list[str] = []
        self._dropped: list[Dropped] = []

    def listing(self) -> Listing:
        self._folders([""])
        while self._links:
            linked, self._links = sorted(self._links), []
            for path in linked:
                self._folders([path])
        return self._sorted()

    def _folders(self, waiting: list[str]) -> None:
        while waiting:
            folder = waiting.pop()
            real = self._real(folder)
            if real not in self._seen:
                self._seen.add(real)
                waiting.extend(self._folder(folder))

    def _folder(self, folder: str) -> list[str]:
        """Sort the names in one folder into files and links; return its real sub-folders."""
        try:
            facts = self._source.filesystem.ls(self._source.address(folder).rstrip("/"), detail=True)
        except OSError as error:
            self._drop(folder or ".", f"the folder cannot be listed ({error.strerror})", "check its permissions")
            return []
        below: list[str] = []
        for fact in facts:
            name = PurePosixPath(fact["name"]).name
            if not name or name.startswith(".") or name in _HOUSEKEEPING:
                continue
            path = f"{folder}/{name}" if folder else name
            if self._sort(path, fact) == "directory":
                below.append(path)
        return below

    def _sort(self, path: str, fact: dict[str, Any]) -> str:
        linked = bool(fact.get("islink"))
        kind = self._linked_kind(path) if linked else str(fact["type"])
        if kind == "directory" and linked:
            self._links.append(path)
            return "link"
        if kind == "file":
            self._files.append(path)
        elif kind != "directory" and _suffix(path) in PICTURE_SUFFIXES:
            self._drop(path, f"not a regular file ({kind})", "replace it by the picture itself")
        return kind

    def _linked_kind(self, path: str) -> str:
        try:
            return str(self._source.filesystem.info(self._source.address(path))["type"])
        except OSError:
            return "broken link"

    def _real(self, folder: str) -> str:
        address = self._source.address(folder)
        return os.path.realpath(address) if isinstance(self._source.filesystem, LocalFileSystem) else address

    def _drop(self, path: str, reason: str, cure: str) -> None:
        self._dropped.append(Dropped(printable(path), reason, cure))

    def _sorted(self) -> Listing:
        pictures: list[str] = []
        for path in sorted(self._files):
            if _suffix(path) in FOREIGN_SUFFIXES:
                self._drop(path, f"{_suffix(path)} files are not supported", "convert it to PNG, JPEG or WebP")
            elif _suffix(path) in PICTURE_SUFFIXES and printable(path) != path:
                self._drop(path, "its name is not valid UTF-8", "rename the file")
            elif _suffix(path) in PICTURE_SUFFIXES:
                pictures.append(path)
        return Listing(tuple(pictures), frozenset(self._files), tuple(self._dropped))


def _suffix(path: str) -> str:
    return PurePosixPath(path).suffix.lower()
