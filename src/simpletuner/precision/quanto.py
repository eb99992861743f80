"""The only door to optimum-quanto: which numbers stand for a weight. It needs no special device.

Quanto's own linear turns the weight back and multiplies, as :mod:`simpletuner.precision.stored` does, and wants inputs
in the type of the scale; so only its choice of numbers is used. Its packed kernels (TinyGemm, Marlin, AWQ) have no
gradient on a card and are not used.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from simpletuner.core.optional import optional
from simpletuner.precision.stored import PackedWeight, ScaledWeight, StoredWeight

_TYPES = {
    "int8-quanto": "qint8",
    "fp8-quanto": "qfloat8_e4m3fn",
    "fp8uz-quanto": "qfloat8_e4m3fnuz",
    "int4-quanto": "qint4",
    "int2-quanto": "qint2",
}


def store(weight: Tensor, preset: str) -> StoredWeight:
    """``weight`` (out, in) in the format of ``preset``, on the device of ``weight``."""
    quanto = optional("optimum.quanto", extra="quantise", needed_for="base_model_precision")
    kind = quanto.qtypes[_TYPES[preset]]
    if kind.bits == 8:
        # In float32, so that the scales of a bf16 weight are not rounded to 8 bits themselves.
        wide = weight.float()
        tensor = quanto.quantize_weight(wide, kind, 0, quanto.AbsmaxOptimizer()(wide, kind, 0), optimized=False)
        return ScaledWeight(weight, *_parts(tensor, "_data", "_scale"))
    group = _group_size(weight.shape[1])
    scale, shift = quanto.MaxOptimizer()(weight, kind, 0, group)
    # Its tensor would pack the numbers and, to unpack them, compile C++ (on a card CUDA) for minutes, or fail without
    # a compiler.
    numbers = torch.ops.quanto.quantize_affine(weight, kind.bits, 0, group, scale, shift)
    return PackedWeight(weight, numbers, kind.bits, scale, shift)


def _parts(tensor: Any, *names: str) -> tuple[Any, ...]:
    """Inner tensors, by the names that torch's protocol of tensor subclasses gives them."""
    given, _ = tensor.__tensor_flatten__()
    assert set(names) <= set(given)
    return tuple(getattr(tensor, name) for name in names)


def _group_size(columns: int) -> int | None:
    """Quanto's rule: the largest of 128, 96, 64 and 32 that divides a row; None when a row is one group."""
    if columns <= 128:
        return None
    return next((size for size in (128, 96, 64, 32) if columns % size == 0), None)
