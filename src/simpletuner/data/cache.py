"""A folder of tensors whose file names are their keys. Entries are whole, checked on every read, and never stale."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from simpletuner.core.files import write_bytes

_LENGTH_BYTES = 8


class TensorStore:
    """Entries are ``<key[:2]>/<key>.safetensors``. ``damaged`` counts the ones that this store met and removed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damaged = 0

    def path(self, key: str) -> Path:
        """Where an entry lies, whether it exists or not."""
        return self.folder / key[:2] / f"{key}.safetensors"

    def has(self, key: str) -> bool:
        """Whether a file is there. Only :meth:`read` knows whether it is sound."""
        return self.path(key).is_file()

    def read(self, key: str) -> dict[str, Tensor] | None:
        """The entry's tensors, or None for a miss. A damaged entry is removed, counted and a miss."""
        try:
            content = self.path(key).read_bytes()
        except FileNotFoundError:
            return None
        if _is_sound(content, key):
            return load(content)
        self.damaged += 1
        self.path(key).unlink(missing_ok=True)
        return None

    def write(self, key: str, tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> None:
        """Write one entry whole or not at all. ``facts`` say where it came from and are for people to read."""
        plain = {name: tensor.contiguous() for name, tensor in tensors.items()}
        metadata = {**facts, "key": key, "sha256": _digest(*_split(save(plain)))}
        write_bytes(self.path(key), save(plain, metadata), durable=False)


def _split(content: bytes) -> tuple[dict[str, Any], bytes]:
    """A safetensors file's header and the bytes of its tensors. Raises ValueError when it is not one."""
    length = int.from_bytes(content[:_LENGTH_BYTES], "little")
    start = _LENGTH_BYTES + length
    header = json.loads(content[_LENGTH_BYTES:start])
    if not isinstance(header, dict):
        raise ValueError("the header is no object")
    return header, content[start:]


def _digest(header: dict[str, Any], payload: bytes) -> str:
    """SHA-256 of the tensors' bytes with their names, types and shapes, which damage can change as well."""
    shapes = {name: fact for name, fact in header.items() if name != "__metadata__"}
    digest = hashlib.sha256(json.dumps(shapes, sort_keys=True).encode())
    digest.update(payload)
    return digest.hexdigest()


def _is_sound(content: bytes, key: str) -> bool:
    try:
        header, payload = _split(content)
        metadata = header.get("__metadata__")
        if not isinstance(metadata, dict) or metadata.get("key") != key:
            return False
        load(content)
        return bool(metadata.get("sha256") == _digest(header, payload))
    except (ValueError, SafetensorError, RecursionError):
        return False
