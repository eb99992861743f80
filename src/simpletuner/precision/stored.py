"""Weights held in few bits, as plain tensors: a scale for each row, or values packed into bytes by groups.

Libraries choose the numbers; the arithmetic here turns them back. No tensor subclass is left, so that a weight moves,
is swapped out and is compiled over like any other buffer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import linear


class StoredWeight(nn.Module, ABC):
    """A frozen weight W (out, in) in the buffers of a module: they move with it, and no ``to(dtype)`` casts them.

    ``dtype`` is what W had before, ``shape`` is (out, in).
    """

    def __init__(self, weight: Tensor) -> None:
        """``weight`` gives shape and type; its values are not kept."""
        super().__init__()
        self.shape = weight.shape
        self.dtype = weight.dtype

    @abstractmethod
    def dense(self, dtype: torch.dtype) -> Tensor:
        """W (out, in) in a floating type, made anew."""

    def forward_product(self, inputs: Tensor) -> Tensor:
        """``inputs`` (..., in) times W transposed: (..., out), in the type of ``inputs``."""
        return linear(inputs, self.dense(inputs.dtype))

    def backward_product(self, gradient: Tensor) -> Tensor:
        """``gradient`` (..., out) times W: (..., in), in the type of ``gradient``."""
        return gradient @ self.dense(gradient.dtype)

    @property
    def stored_bytes(self) -> int:
        """Bytes that the weight takes now, scales and tables included."""
        return sum(buffer.nbytes for buffer in self.buffers())

    @property
    def device(self) -> torch.device:
        """Where the weight lies."""
        return next(self.buffers()).device

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> StoredWeight:  # noqa: FBT001, FBT002
        # torch's signature. As bytes a buffer can be moved and pinned, but not turned into another type.
        del recurse
        for name, buffer in self.named_buffers(recurse=False):
            self._buffers[name] = fn(buffer.view(torch.uint8)).view(buffer.dtype)
        return self


class ScaledWeight(StoredWeight):
    """``values`` (out, in) int8 or float8, times an fp32 ``scale`` for each row (out,) or for all (1,).

    A scale is never rounded to bf16: that would move a whole row by up to a quarter of an int8 step.
    """

    values: Tensor
    scale: Tensor

    def __init__(self, weight: Tensor, values: Tensor, scale: Tensor) -> None:
        """``weight`` is what ``values`` and ``scale`` stand for."""
        super().__init__(weight)
        self.register_buffer("values", values.contiguous())
        self.register_buffer("scale", scale.reshape(-1))

    def dense(self, dtype: torch.dtype) -> Tensor:
        """See :class:`StoredWeight`."""
        return self.values.to(dtype).mul_(self.scale[:, None])

    def forward_product(self, inputs: Tensor) -> Tensor:
        """See :class:`StoredWeight`; the scale meets the output, unrounded and in place."""
        return linear(inputs, self.values.to(inputs.dtype)).mul_(self.scale)


class PackedWeight(StoredWeight):
    """Whole numbers of 2 or 4 bits, packed into bytes, with a scale for each group of neighbours in a row.

    A number n in 0 ... 2^bits - 1 stands for ``scale * n - shift``, without a shift for ``scale * (n - 2^bits / 2)``.
    ``packed`` is (groups, group size * bits / 8); ``scale`` and ``shift`` are (groups, 1).
    """

    packed: Tensor
    scale: Tensor
    shift: Tensor | None

    def __init__(self, weight: Tensor, numbers: Tensor, bits: int, scale: Tensor, shift: Tensor | None = None) -> None:
        """``numbers`` (groups, group size) uint8, before packing; ``weight`` is what they stand for."""
        super().__init__(weight)
        self._bits = bits
        self.register_buffer("packed", pack(numbers, bits))
        self.register_buffer("scale", scale.reshape(-1, 1).contiguous())
        self.register_buffer("shift", None if shift is None else shift.reshape(-1, 1).contiguous())

    def numbers(self) -> Tensor:
        """The whole numbers (groups, group size), uint8."""
        return unpack(self.packed, self._bits)

    def dense(self, dtype: torch.dtype) -> Tensor:
        """See :class:`StoredWeight`."""
        values = self.numbers().to(dtype)
        if self.shift is None:
            values -= 2 ** (self._bits - 1)
        values *= self.scale.to(dtype)
        if self.shift is not None:
            values -= self.shift.to(dtype)
        return values.reshape(self.shape)


def pack(numbers: Tensor, bits: int) -> Tensor:
    """``numbers`` (rows, columns) uint8 below 2^bits as bytes (rows, columns * bits / 8).

    Raises ValueError when a row does not fill whole bytes.
    """
    if numbers.shape[1] % (8 // bits):
        raise ValueError(f"{numbers.shape[1]} numbers of {bits} bits do not fill whole bytes")
    parts = numbers.chunk(8 // bits, dim=1)
    packed = parts[0].clone()
    for place, part in enumerate(parts[1:], start=1):
        packed |= part << (bits * place)
    return packed


def unpack(packed: Tensor, bits: int) -> Tensor:
    """The numbers (rows, columns) uint8 that :func:`pack` was given."""
    mask = 2**bits - 1
    return torch.cat([(packed >> (bits * place)) & mask for place in range(8 // bits)], dim=1)
