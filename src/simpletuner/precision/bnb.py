"""The only door to bitsandbytes' number formats: nf4, 64 neighbours to a scale, the scales in 8 bits themselves."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from simpletuner.core.optional import optional
from simpletuner.precision.stored import StoredWeight

_BLOCK = 64
_OUTER_BLOCK = 256


def store(weight: Tensor, preset: str) -> StoredWeight:
    """``weight`` (out, in) in the format of ``preset``, which is ``nf4-bnb``, on the device of ``weight``."""
    assert preset == "nf4-bnb"
    return Nf4Weight(weight)


class Nf4Weight(StoredWeight):
    """Two nf4 numbers to a byte. ``scales`` (blocks,) uint8 index ``outer_code``, times ``outer``, plus ``offset``."""

    packed: Tensor
    scales: Tensor
    code: Tensor
    offset: Tensor
    outer: Tensor
    outer_code: Tensor

    def __init__(self, weight: Tensor) -> None:
        """``weight`` (out, in), quantised where it lies."""
        super().__init__(weight)
        bnb, functional = _part("bitsandbytes"), _part("bitsandbytes.functional")
        self._kind, self._dequantise, self._multiply = (
            functional.QuantState,
            functional.dequantize_4bit,
            bnb.matmul_4bit,
        )
        packed, state = functional.quantize_4bit(
            weight.contiguous(), blocksize=_BLOCK, quant_type="nf4", compress_statistics=True
        )
        self.register_buffer("packed", packed)
        self.register_buffer("scales", state.absmax)
        self.register_buffer("code", state.code)
        self.register_buffer("offset", state.offset.reshape(1))
        self.register_buffer("outer", state.state2.absmax)
        self.register_buffer("outer_code", state.state2.code)

    def _state(self, dtype: torch.dtype) -> Any:
        outer = self._kind(absmax=self.outer, code=self.outer_code, blocksize=_OUTER_BLOCK, dtype=torch.float32)
        return self._kind(
            absmax=self.scales,
            shape=self.shape,
            code=self.code,
            blocksize=_BLOCK,
            quant_type="nf4",
            dtype=dtype,
            offset=self.offset[0],
            state2=outer,
        )

    def dense(self, dtype: torch.dtype) -> Tensor:
        """See :class:`StoredWeight`."""
        weight: Tensor = self._dequantise(self.packed, self._state(dtype))
        return weight

    def forward_product(self, inputs: Tensor) -> Tensor:
        """See :class:`StoredWeight`; bitsandbytes has a kernel for few tokens."""
        product: Tensor = self._multiply(inputs, self.packed, self._state(inputs.dtype))
        return product


def _part(name: str) -> Any:
    return optional(name, extra="quantise", needed_for="base_model_precision")
