"""What the header of an adapter file tells, without torch: enough to refuse the wrong kind before anything loads."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from simpletuner.core.errors import ConfigError

_LONGEST = 100 << 20
"""The longest header that the safetensors library reads, in bytes."""
_CURES = {
    "standard": "use lora_type=standard, or a file of LyCORIS",
    "lycoris": "use lora_type=lycoris, or a file of PEFT or diffusers",
}


def require_kind(path: Path, lora_type: Literal["lycoris", "standard"]) -> None:
    """Raise ConfigError unless ``path`` (`init_lora`) is a safetensors file of an adapter of this type."""
    if path.suffix != ".safetensors":
        reason = f"'{path.name}' is no .safetensors file: other formats can run code when read"
        raise ConfigError(reason, file=path, key="init_lora", cure="name a .safetensors file")
    kind = "standard" if any(".lora_A." in name for name in _header(path)) else "lycoris"
    if kind != lora_type:
        held = "a standard LoRA (PEFT)" if kind == "standard" else "an adapter of LyCORIS"
        raise ConfigError(f"holds {held}, and lora_type is {lora_type}", file=path, key="init_lora", cure=_CURES[kind])


def _header(path: Path) -> Mapping[str, Any]:
    """The names in the file, after the format's own description: 8 bytes of length, then so much JSON."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            found = json.loads(file.read(length)) if length <= _LONGEST else None
    except (OSError, struct.error, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ConfigError("cannot be read as safetensors", file=path, key="init_lora", cure="copy the file again")
    return found
