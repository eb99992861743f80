"""A folder of tensors whose file names are their keys. Entries are whole, checked on every read, and never stale."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from simpletuner.core.files import write_bytes

_LENGTH_BYTES = 8
_ALIGNMENT = 8
_CHECKSUM_LENGTH = 64
# The checksum is the first thing of the header, so that it lies at one place and covers every other byte of the file.
_BEFORE_CHECKSUM = b'{"__metadata__":{"sha256":"'
_CHECKSUM = slice(_LENGTH_BYTES + len(_BEFORE_CHECKSUM), _LENGTH_BYTES + len(_BEFORE_CHECKSUM) + _CHECKSUM_LENGTH)

_DTYPES = {torch.float32: "F32", torch.int64: "I64"}
_SUFFIX = ".safetensors"
_ENTRY = re.compile(rf"([0-9a-f]{{64}}){re.escape(_SUFFIX)}")
_PARTIAL = re.compile(r"\.[0-9a-f]{32}\.partial")
_FOLDER = re.compile(r"[0-9a-f]{2}")
_OWN_FACTS = frozenset(("sha256", "key"))


@dataclass(frozen=True)
class _Opened:
    tensors: dict[str, Tensor]
    facts: dict[str, str]


class TensorStore:
    """Entries are ``<key[:2]>/<key>.safetensors``; a key is 64 hex digits. Other files in the folder are let be.

    Threads, processes and machines may use one folder together: what they write under one key is the same. All methods
    raise OSError when the disk is full, read-only or gone. ``damaged`` counts the entries that this store met and
    removed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damaged = 0
        self._counting = Lock()

    def path(self, key: str) -> Path:
        """Where an entry lies, whether it exists or not."""
        return self.folder / key[:2] / f"{key}{_SUFFIX}"

    def has(self, key: str) -> bool:
        """Whether a file is there. Only :meth:`read` knows whether it is sound."""
        return os.path.isfile(f"{self.folder}/{key[:2]}/{key}{_SUFFIX}")  # noqa: PTH113  (asked thrice for a picture)

    def keys(self) -> frozenset[str]:
        """The keys of all files that are there. Opens none of them."""
        return frozenset(found[1] for folder, name in self._names() if (found := _entry_name(folder, name)))

    def partials(self) -> Iterator[Path]:
        """What a process is writing now, or was writing when it was killed."""
        return (self.folder / folder / name for folder, name in self._names() if _PARTIAL.fullmatch(name))

    def read(self, key: str) -> dict[str, Tensor] | None:
        """The entry's tensors, or None for a miss. A damaged entry is removed, counted and a miss."""
        try:
            found = _opened(self.path(key).read_bytes(), key)
        except FileNotFoundError:
            return None
        if found is not None:
            return found.tensors
        with self._counting:
            self.damaged += 1
        self.remove(key)
        return None

    def facts(self, key: str) -> dict[str, str] | None:
        """What :meth:`write` was told of an entry; None for a miss and for a damaged entry, which stays."""
        try:
            found = _opened(self.path(key).read_bytes(), key)
        except FileNotFoundError:
            return None
        return None if found is None else {name: found.facts[name] for name in found.facts if name not in _OWN_FACTS}

    def write(self, key: str, tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> None:
        """Write one entry whole or not at all. ``facts`` say where it came from.

        The same arguments give the same bytes.
        """
        write_bytes(self.path(key), _file(tensors, {"key": key, **facts}), durable=False)

    def remove(self, key: str) -> None:
        """Remove an entry; one that is not there is no error."""
        self.path(key).unlink(missing_ok=True)

    def _names(self) -> Iterator[tuple[str, str]]:
        """Every name in the sub-folders, with its folder's."""
        for folder in _listed(self.folder):
            if _FOLDER.fullmatch(folder):
                yield from ((folder, name) for name in _listed(self.folder / folder))


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208  (a path object for each of 100,000 names takes a second)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _entry_name(folder: str, name: str) -> re.Match[str] | None:
    return _ENTRY.fullmatch(name) if name.startswith(folder) else None


def _file(tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> bytes:
    """A safetensors file with ``facts`` in its header; the library would write them in another order each time.

    It takes a third of the library's time, which small latents are encoded in the shadow of.
    """
    header: dict[str, object] = {"__metadata__": {"sha256": "0" * _CHECKSUM_LENGTH, **facts}}
    payload, end = [], 0
    # The library's order: what needs the widest alignment comes first.
    for name in sorted(tensors, key=lambda name: (-tensors[name].itemsize, name)):
        values = tensors[name].numpy().tobytes()
        start, end = end, end + len(values)
        shape = list(tensors[name].shape)
        header[name] = {"dtype": _DTYPES[tensors[name].dtype], "shape": shape, "data_offsets": [start, end]}
        payload.append(values)
    encoded = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    encoded += b" " * (-len(encoded) % _ALIGNMENT)
    content = bytearray().join((len(encoded).to_bytes(_LENGTH_BYTES, "little"), encoded, *payload))
    content[_CHECKSUM] = _checksum(content).encode()
    return bytes(content)


def _payload_start(content: bytes) -> int:
    return _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")


def _checksum(content: bytes | bytearray) -> str:
    """SHA-256 of everything but the place of the checksum itself."""
    view = memoryview(content)
    digest = hashlib.sha256(view[: _CHECKSUM.start])
    digest.update(view[_CHECKSUM.stop :])
    return digest.hexdigest()


def _opened(content: bytes, key: str) -> _Opened | None:
    """An entry of which every byte is as :meth:`TensorStore.write` left it under this key, else None."""
    if content[_CHECKSUM] != _checksum(content).encode():
        return None
    try:
        facts = json.loads(content[_LENGTH_BYTES : _payload_start(content)])["__metadata__"]
        return _Opened(load(content), facts) if facts["key"] == key else None
    except (ValueError, LookupError, TypeError, SafetensorError, RecursionError):
        # It only looks like one of ours.
        return None
