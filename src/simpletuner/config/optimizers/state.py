"""How many bytes an optimizer keeps beside a weight. A pure table, for plans; tests hold it against the real state.

Whole weights' worth of state is what counts; a step count or a table of 16 numbers for a tensor is not counted, nor
are states that ``optimizer_config`` adds (momentum, amsgrad, centered).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

Shape = Sequence[int]
Size = Callable[[Shape, int], float]

_SMALLEST_LOW_BIT = 4096
_TABLE = 256 * 4
_LARGEST_PRECONDITIONED = 10_000


def state_bytes(optimizer: str, shape: Shape, width: int = 4) -> int:
    """Bytes beside one trained tensor of ``shape`` whose values take ``width`` bytes (4 for fp32, 2 for bf16)."""
    size = _BY_NAME.get(optimizer)
    if size is None:
        size = next(size for start, size in _BY_START.items() if optimizer.startswith(start))
    return math.ceil(size(shape, width))


def _alike(count: int) -> Size:
    """``count`` tensors of the weight's shape and type."""
    return lambda shape, width: count * math.prod(shape) * width


def _kahan(count: int) -> Size:
    """As :func:`_alike`, and one tensor more of what rounding cut off a narrow weight."""
    return lambda shape, width: (count + (width < 4)) * math.prod(shape) * width


def _floats(count: int) -> Size:
    """``count`` fp32 tensors, whatever the weight's type."""
    return lambda shape, _: count * math.prod(shape) * 4


def _bnb_8bit(count: int) -> Size:
    """bitsandbytes: ``count`` tensors of bytes with an fp32 scale to 256 of them; small tensors stay fp32."""

    def size(shape: Shape, _: int) -> float:
        values = math.prod(shape)
        if values < _SMALLEST_LOW_BIT:
            return 4 * count * values
        return count * (values + 4 * math.ceil(values / 256))

    return size


def _torchao(bits: int, block: int, table: int) -> Size:
    """torchao: two low-bit tensors, each with fp32 scales and a ``table`` of bytes; others are as their weights."""

    def size(shape: Shape, width: int) -> float:
        values = math.prod(shape)
        if values < _SMALLEST_LOW_BIT or values % block:
            return 2 * values * width
        return 2 * (values * bits / 8 + 4 * values / block + table)

    return size


def _soap(shape: Shape, width: int) -> float:
    """Two tensors as the weight, and for each edge of a matrix two squares: its statistics and its eigenvectors."""
    edges = [edge for edge in shape if edge <= _LARGEST_PRECONDITIONED] if len(shape) > 1 else []
    return (2 * math.prod(shape) + 2 * sum(edge**2 for edge in edges)) * width


def _adafactor(shape: Shape, width: int) -> float:
    """A mean of squares a row and a column of a matrix; of each value of anything smaller."""
    values = math.prod(shape)
    return (values / shape[-1] + values / shape[-2] if len(shape) > 1 else values) * width


def _muon(shape: Shape, width: int) -> float:
    """A momentum for a matrix, the two moments of AdamW for the rest."""
    return _alike(1 if len(shape) > 1 else 2)(shape, width)


_BY_NAME: dict[str, Size] = {
    "adamw_bf16": _alike(2),
    "ao-adamw8bit": _torchao(8, 256, _TABLE),
    "ao-adamw4bit": _torchao(4, 128, 16 * 4),
    "ao-adamfp8": _torchao(8, 256, 0),
    "ao-adamwfp8": _torchao(8, 256, 0),
    "optimi-lion": _kahan(1),
    "optimi-ranger": _kahan(3),
    "optimi-adan": _kahan(4),
    "optimi-sgd": _kahan(0),
    "bnb-adagrad": _floats(1),
    "bnb-adagrad8bit": _bnb_8bit(1),
    "soap": _soap,
    "prodigy": _alike(4),
    "muon": _muon,
    "torch-sgd": _alike(0),
    "torch-rmsprop": _alike(1),
    "torch-adagrad": _alike(1),
    "torch-adafactor": _adafactor,
    "torch-asgd": _alike(1),
}
_BY_START: dict[str, Size] = {
    "adamw_schedulefree": _alike(2),
    "optimi-": _kahan(2),
    "bnb-lion8bit": _bnb_8bit(1),
    "bnb-lion": _floats(1),
    "bnb-ademamix8bit": _bnb_8bit(3),
    "bnb-ademamix": _floats(3),
    "bnb-adam8bit": _bnb_8bit(2),
    "bnb-adamw8bit": _bnb_8bit(2),
    "bnb-adam": _floats(2),
    "torch-": _alike(2),
}
