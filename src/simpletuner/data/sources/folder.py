"""The files of a data set's folder: local ones directly, any other filesystem through fsspec. Listing opens no file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from simpletuner.core.errors import ConfigError, DataError
from simpletuner.data.entries import UnreachableError
from simpletuner.data.files.versions import file_version, identity
from simpletuner.data.sources.base import Listing
from simpletuner.data.sources.kinds import LISTED_SUFFIXES, Sorter, is_below_hidden, suffix
from simpletuner.data.sources.walk import walk

_MARKS = ("size", "ETag", "etag", "checksum", "mtime", "created", "LastModified", "modified", "md5", "blob_id")


@dataclass(frozen=True)
class FolderSpec:
    """A folder: a local path, or a URL that fsspec knows."""

    folder: str


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

    @property
    def where(self) -> str:
        """The folder's path, with the protocol of a filesystem that is not local."""
        return self.root if self._is_local else str(self.filesystem.unstrip_protocol(self.root))

    def listing(self) -> Listing:
        """Walk the tree. Links are followed, each folder once; hidden and housekeeping names are skipped.

        Raises:
            DataError: a filesystem that is not local cannot be listed.
        """
        return walk(self.root) if self._is_local else self._listing_elsewhere()

    def address(self, path: str) -> str:
        """The filesystem's own name of a relative path."""
        return f"{self.root}/{path}"

    def open(self, path: str) -> IO[bytes]:
        """Open a relative path for reading; the stream seeks. Raises OSError."""
        if self._is_local:
            return Path(self.address(path)).open("rb")
        stream: IO[bytes] = self.filesystem.open(self.address(path), "rb")
        return stream

    def read(self, path: str) -> bytes:
        """All bytes of a relative path. Raises :class:`PictureError` when it cannot be read."""
        try:
            with self.open(path) as stream:
                return stream.read()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise UnreachableError(f"cannot be read ({reason})", cure="check that it exists and may be read") from error

    def version(self, path: str) -> str:
        """Text that changes whenever the content may have changed; "" when the file is gone."""
        try:
            if self._is_local:
                return file_version(Path(self.address(path)).stat())
            return _version(self.filesystem.info(self.address(path)))
        except OSError:
            return ""

    def renamed_from(self, version: str) -> str:
        """Size, time and inode of a local file; "" elsewhere."""
        return identity(version)

    @property
    def _is_local(self) -> bool:
        return isinstance(self.filesystem, LocalFileSystem)

    def _listing_elsewhere(self) -> Listing:
        sorter = Sorter()
        try:
            found = self.filesystem.find(self.root, detail=True)
        except OSError as error:
            raise DataError(
                f"cannot be listed ({error.strerror or error})", file=self.where, cure="check that it may be read"
            ) from error
        for address, fact in found.items():
            path = address.removeprefix(f"{self.root}/")
            if is_below_hidden(path):
                continue
            if suffix(path) in LISTED_SUFFIXES:
                sorter.files[path] = _version(fact)
            else:
                sorter.pass_over(path)
        return sorter.listing()


def _version(fact: Mapping[str, Any]) -> str:
    """From what a filesystem says of a file; each kind names the times and tags that it has differently."""
    marks = [fact[mark] for mark in _MARKS if fact.get(mark) is not None]
    # The same time comes as a date from one method of a filesystem and as seconds from another.
    return "-".join(str(mark.timestamp() if isinstance(mark, datetime) else mark) for mark in marks)
