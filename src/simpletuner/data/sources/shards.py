"""WebDataset shards: pictures and their captions inside tar files, read where they lie."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from simpletuner.core.errors import ConfigError
from simpletuner.data.entries import UnreachableError
from simpletuner.data.sources.base import Facts, Listing
from simpletuner.data.sources.bucket_faults import WrongBytes, is_passing
from simpletuner.data.sources.kinds import (
    PICTURE_SUFFIXES,
    Sorter,
    is_below_hidden,
    sample,
    suffix,
)
from simpletuner.data.sources.ranges import range_stream
from simpletuner.data.sources.retry import persist
from simpletuner.data.sources.shard import Shard, key_of, walk_shard
from simpletuner.data.sources.shard_places import open_shards, shard_fault, shard_faults, shard_unlisted
from simpletuner.data.sources.tar import BrokenTar, Member

_SHARD = ".tar"
_PACKED = (".tar.gz", ".tgz", ".tar.zst", ".tar.xz", ".tar.bz2")
# Headers lie a picture apart: on a network one long range costs less than many short ones, on a disk more.
_FAR_BLOCK = 1 << 23
_NEAR_BLOCK = 1 << 12


@dataclass(frozen=True)
class ShardSpec:
    """A folder of ``.tar`` files, or one of them: a local path, or a URL that fsspec knows (``s3://``, ``hf://``)."""

    source: str


class ShardSource:
    """The pictures of all shards, as ``shard.tar/name``."""

    def __init__(self, spec: ShardSpec) -> None:
        self._spec = spec
        self._faults = shard_faults(spec.source)
        with self._told():
            self._files, self._only = open_shards(spec.source)
        self._block = _FAR_BLOCK if "://" in spec.source else _NEAR_BLOCK
        self._lock = threading.Lock()
        self._shards: dict[str, Shard] = {}

    @property
    def where(self) -> str:
        """The folder or file."""
        return self._spec.source

    def listing(self) -> Listing:
        """Walk the headers of every shard.

        Raises:
            ConfigError: there is no shard.
            DataError: the place cannot be listed.
        """
        sorter, facts = Sorter(), {}
        for name in self._names(sorter):
            shard = self._shard(name)
            sorter.dropped += shard.found.dropped
            sorter.passed += shard.found.passed
            for member in shard.members.values():
                path = f"{name}/{member.name}"
                sorter.files[path] = _version(shard, member)
                captions = shard.captions.get(key_of(member.name))
                if captions and suffix(member.name) in PICTURE_SUFFIXES:
                    facts[path] = Facts(captions)
        return sorter.listing(facts)

    def open(self, path: str) -> IO[bytes]:
        """A member for reading. Raises OSError."""
        name, member = self._member(path)
        return range_stream(
            lambda start, end: self._range(name, member.offset + start, member.offset + end), member.size
        )

    def read(self, path: str) -> bytes:
        """All bytes of a member. Raises :class:`PictureError`."""
        try:
            with self.open(path) as stream:
                return stream.read()
        except OSError as error:
            raise UnreachableError(
                f"cannot be read ({error.strerror or error})", cure="check that the shard exists and is whole"
            ) from error

    def version(self, path: str) -> str:
        """The shard's version as it is now, and where the member lies; "" when it is gone."""
        name = self._name(path)
        try:
            now = self._files.version(name)
        except self._faults:
            now = ""
        if not now:
            return ""
        with self._lock:
            if name in self._shards and self._shards[name].version != now:
                del self._shards[name]
        shard = self._shard(name)
        member = shard.members.get(path[len(name) + 1 :])
        return _version(shard, member) if member else ""

    def renamed_from(self, version: str) -> str:
        """What survives when a local shard is renamed: its own part, and the member's place."""
        shard, mark, place = version.rpartition("@")
        kept = self._files.renamed_from(shard)
        return f"{kept}{mark}{place}" if kept else ""

    def _names(self, sorter: Sorter) -> list[str]:
        """The shards, sorted by path."""
        if self._only:
            return [self._only]
        with self._told():
            addresses = self._files.filesystem.find(self._files.root)
        found = [address.removeprefix(f"{self._files.root}/") for address in addresses]
        names = sorted(name for name in found if name.lower().endswith(_SHARD) and not is_below_hidden(name))
        for name in sorted(found):
            if name.lower().endswith(_PACKED):
                sorter.drop(name, "compressed shards cannot be read in place", "decompress it to .tar")
        if not names and not sorter.dropped:
            raise ConfigError(
                "there is no .tar file", file=self._spec.source, key="source", cure=f"found: {sample(sorted(found))}"
            )
        return names

    def _name(self, path: str) -> str:
        """The shard that a path lies in."""
        if self._only:
            return self._only
        return path[: path.lower().index(f"{_SHARD}/") + len(_SHARD)] if f"{_SHARD}/" in path.lower() else path

    def _member(self, path: str) -> tuple[str, Member]:
        name = self._name(path)
        member = self._shard(name).members.get(path[len(name) + 1 :])
        if member is None:
            raise FileNotFoundError(f"{path} is in no shard")
        return name, member

    def _shard(self, name: str) -> Shard:
        """The shard's members, walked once."""
        with self._lock:
            if name not in self._shards:
                self._shards[name] = self._walked(name)
            return self._shards[name]

    def _walked(self, name: str) -> Shard:
        shard = Shard("")
        try:
            shard.version = self._files.version(name)
            size = int(self._files.filesystem.info(self._files.address(name))["size"])
            with range_stream(lambda start, end: self._range(name, start, end), size, self._block) as stream:
                walk_shard(shard, name, stream, size)
        except BrokenTar as error:
            _cut(shard, name, str(error))
        except self._faults as error:
            _cut(shard, name, shard_fault(error, self._spec.source))
        return shard

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turns a fault of the place into an error that names it."""
        try:
            yield
        except self._faults as error:
            raise shard_unlisted(error, self._spec.source) from error

    def _range(self, name: str, start: int, end: int) -> bytes:
        def once() -> bytes:
            content: bytes = self._files.filesystem.cat_file(self._files.address(name), start=start, end=end)
            if len(content) != end - start:
                raise WrongBytes(f"{len(content)} bytes came where {end - start} were asked for")
            return content

        try:
            return persist(once, is_passing, self._faults)
        except OSError:
            raise
        except self._faults as error:
            raise OSError(shard_fault(error, self._spec.source)) from error


def _cut(shard: Shard, name: str, why: str) -> None:
    read = f"{len(shard.members)} files were read"
    shard.found.drop(name, f"the rest of the shard is not used: {why}", f"copy it again; {read}")


def _version(shard: Shard, member: Member) -> str:
    return f"{shard.version}@{member.offset}+{member.size}"
