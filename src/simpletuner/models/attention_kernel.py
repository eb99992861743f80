"""torch's attention kernels by name."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from simpletuner.core.errors import ConfigError

# The kernel that is named, then those that take its place where it cannot take a batch: flash kernels know no mask,
# and a batch of rows of different lengths has one.
_ORDER = {
    "sdpa-flash": [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH],
    "sdpa-efficient": [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH],
    "sdpa-cudnn": [SDPBackend.CUDNN_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH],
    "sdpa-math": [SDPBackend.MATH],
}


def attention_kernel(name: str) -> AbstractContextManager[Any]:
    """Inside the block, ``scaled_dot_product_attention`` uses the kernel ``name``; ``diffusers`` lets torch choose."""
    if name == "diffusers":
        return nullcontext()
    return sdpa_kernel(_ORDER[name], set_priority=True)


def require_kernel(name: str, device: torch.device) -> None:
    """Raises ConfigError when ``device``, or this torch, lacks the kernel ``name``."""
    if name not in _available(device):
        raise ConfigError(
            f"'{name}' does not run on '{device.type}' with torch {torch.__version__}",
            key="attention_mechanism",
            cure=f"one of: {', '.join(_available(device))}",
        )


def _available(device: torch.device) -> tuple[str, ...]:
    """The kernels of ``device``, by name."""
    always = ("diffusers", "sdpa-math")
    if device.type == "cpu":
        return (*always, "sdpa-flash")
    if device.type != "cuda":
        return always
    flash = ("sdpa-flash",) if torch.backends.cuda.is_flash_attention_available() else ()
    # cuDNN's kernel is for Ampere and newer.
    cudnn = torch.backends.cudnn.is_available() and torch.cuda.get_device_capability(device) >= (8, 0)
    return (*always, "sdpa-efficient", *flash, *(("sdpa-cudnn",) if cudnn else ()))
