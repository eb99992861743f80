"""Tensors in a safetensors file whose bytes follow from its content alone.

The library itself keeps metadata in an unordered map: two equal runs would end in files of different bytes. So the
header is written here, with sorted keys; what follows it is laid out as the library does
(https://huggingface.co/docs/safetensors: 8 bytes of length, JSON padded with spaces to 8 bytes, then the tensors).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

# In the library's order: wide values first, so that all are aligned.
_NAMES = {
    torch.uint64: "U64",
    torch.int64: "I64",
    torch.float64: "F64",
    torch.complex64: "C64",
    torch.float32: "F32",
    torch.uint32: "U32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.uint16: "U16",
    torch.int16: "I16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_ORDER = {dtype: place for place, dtype in enumerate(_NAMES)}
_ALIGNMENT = 8


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write ``tensors``, of any device and layout, into a new file; ``metadata`` is text to text.

    Each tensor is brought to the host when its turn comes. Raises OSError naming ``path``, ValueError for a number
    format that safetensors does not know.
    """
    for name, tensor in tensors.items():
        if tensor.dtype not in _NAMES:
            raise ValueError(f"safetensors has no format for {name}, which is {tensor.dtype}")
    ordered = sorted(tensors.items(), key=lambda item: (_ORDER[item[1].dtype], item[0]))
    header = _header(dict(ordered), metadata or {})
    try:
        with path.open("wb") as stream:
            stream.write(len(header).to_bytes(8, "little"))
            stream.write(header)
            for _, tensor in ordered:
                stream.write(_bytes(tensor))
    except OSError as error:
        # A full disk does not say which file did not fit.
        error.filename = error.filename or str(path)
        raise


def _header(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    described: dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    end = 0
    for name, tensor in tensors.items():
        begin, end = end, end + tensor.numel() * tensor.element_size()
        described[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(described, separators=(",", ":"), ensure_ascii=False).encode()
    return text + b" " * (-len(text) % _ALIGNMENT)


def _bytes(tensor: Tensor) -> memoryview:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data
