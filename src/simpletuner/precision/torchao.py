"""The only door to torchao: which numbers stand for a weight, and products with inputs that are rounded, too.

The weight-only presets use torchao's choice of numbers and the arithmetic of :mod:`simpletuner.precision.stored`.
Presets that round the inputs (``int8dq``, ``fp8-torchao`` ...) multiply with torchao's own kernel, which knows no
gradient; the gradient goes back through the weight as it is stored. torchao's own int4 kernel
(``Int4WeightOnlyConfig``) is in the package mslk, which PyPI has no release of; int4 is therefore torchao's int4 of
any device (``IntxWeightOnlyConfig``), two numbers packed into each byte.

torch's compiler cannot follow torchao's tensors into :class:`RoundedInt8` and :class:`RoundedFloat8` (torch 2.13): over
``int8dq-torchao``, ``fp8-torchao`` and ``fp8-native`` it stops at each layer and compiles little.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from simpletuner.core.optional import optional
from simpletuner.precision.stored import PackedWeight, ScaledWeight, StoredWeight

_GROUP = 32
_INT4_LOW = -8


def store(weight: Tensor, preset: str) -> StoredWeight:
    """``weight`` (out, in) in the format of ``preset``, on the device of ``weight``."""
    if preset in ("fp8-torchao", "fp8-native"):
        return RoundedFloat8(weight, by_row=preset == "fp8-native")
    if preset in ("int4-torchao", "int8dq-int4-torchao"):
        kind = RoundedInt4 if preset == "int8dq-int4-torchao" else PackedWeight
        return _int4(weight, kind)
    ao = _ao()
    if preset == "int8dq-torchao":
        tensor = _quantised(weight, ao.Int8DynamicActivationInt8WeightConfig(set_inductor_config=False))
        return RoundedInt8(weight, tensor)
    configs = {"int8-torchao": ao.Int8WeightOnlyConfig, "fp8wo-torchao": ao.Float8WeightOnlyConfig}
    tensor = _quantised(weight, configs[preset](set_inductor_config=False))
    return ScaledWeight(weight, tensor.qdata, tensor.scale)


class RoundedInt8(ScaledWeight):
    """int8 with a scale for each row; the input is rounded to int8 with a scale for each token."""

    def __init__(self, weight: Tensor, tensor: Any) -> None:
        """``tensor`` is torchao's ``Int8Tensor`` of ``weight``."""
        super().__init__(weight, tensor.qdata, tensor.scale)
        self._tensor = type(tensor)
        self._block = list(tensor.block_size)
        self._rounding = tensor.act_quant_kwargs

    def forward_product(self, inputs: Tensor) -> Tensor:
        """See :class:`StoredWeight`; in whole numbers."""
        scale = self.scale[:, None]
        weight = self._tensor(self.values, scale, self._block, inputs.dtype, act_quant_kwargs=self._rounding)
        return linear(inputs, weight)


class RoundedInt4(PackedWeight):
    """int4 with a scale for each group; the input is rounded to int8, a scale and a zero for each token."""

    def __init__(self, weight: Tensor, numbers: Tensor, bits: int, scale: Tensor) -> None:
        """As :class:`PackedWeight` without a shift."""
        super().__init__(weight, numbers, bits, scale)
        self._tensor = _ao().IntxUnpackedToInt8Tensor

    def forward_product(self, inputs: Tensor) -> Tensor:
        """See :class:`StoredWeight`. torchao multiplies in floating numbers."""
        rows, columns = self.shape
        values = (self.numbers().to(torch.int8) + _INT4_LOW).reshape(self.shape)
        scale = self.scale.reshape(rows, -1)
        weight = self._tensor(
            qdata=values,
            scale=scale.to(inputs.dtype),
            zero_point=torch.zeros_like(scale, dtype=torch.int8),
            target_dtype=torch.int4,  # type: ignore[attr-defined]
            block_size=(1, columns // scale.shape[1]),
            dtype=inputs.dtype,
            activation_quantization="int8_asym_per_token",
        )
        return linear(inputs, weight)


class RoundedFloat8(ScaledWeight):
    """float8 (e4m3) with one scale or a scale for each row; the input likewise, with a scale for each token."""

    def __init__(self, weight: Tensor, *, by_row: bool) -> None:
        """``by_row``: rows and tokens have scales of their own, which is more exact and a little slower."""
        granularity = _part("granularity").PerRow() if by_row else _part("granularity").PerTensor()
        tensor = _ao().Float8Tensor.from_hp(weight, granularity=granularity)
        super().__init__(weight, tensor.qdata, tensor.scale)
        self._tensor = type(tensor)
        self._block = list(tensor.block_size)
        float8 = _part("quantize_.workflows.float8.float8_tensor")
        self._rounding = float8.QuantizeTensorToFloat8Kwargs(granularity=granularity)
        # A card adds up in fewer bits when it may: what an inference takes, and training over frozen weights bears.
        self._kernel = {fast: _ao().Float8MMConfig(use_fast_accum=fast) for fast in (False, True)}

    def forward_product(self, inputs: Tensor) -> Tensor:
        """See :class:`StoredWeight`; a card's kernel for scaled rows answers in bf16 only."""
        card = inputs.device.type == "cuda"
        dtype = torch.bfloat16 if card else inputs.dtype
        weight = self._tensor(
            self.values,
            self.scale[:, None],
            self._block,
            mm_config=self._kernel[card],
            act_quant_kwargs=self._rounding,
            dtype=dtype,
        )
        return linear(inputs.to(dtype), weight).to(inputs.dtype)


def _ao() -> Any:
    return optional("torchao.quantization", extra="quantise", needed_for="base_model_precision")


def _part(name: str) -> Any:
    return optional(f"torchao.quantization.{name}", extra="quantise", needed_for="base_model_precision")


def _quantised(weight: Tensor, config: Any) -> Any:
    """The tensor that torchao makes of ``weight``; its interface takes layers."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    layer.weight = nn.Parameter(weight, requires_grad=False)
    _ao().quantize_(layer, config)
    return layer.weight


def _int4(weight: Tensor, kind: type[PackedWeight]) -> PackedWeight:
    columns = weight.shape[1]
    kinds = _part("granularity")
    granularity = kinds.PerGroup(_GROUP) if columns % _GROUP == 0 else kinds.PerAxis(0)
    kind_of_number = torch.int4  # type: ignore[attr-defined]
    tensor = _quantised(weight, _ao().IntxWeightOnlyConfig(weight_dtype=kind_of_number, granularity=granularity))
    numbers = (tensor.qdata - _INT4_LOW).to(torch.uint8)
    return kind(weight, numbers.reshape(tensor.scale.numel(), -1), 4, tensor.scale)
