"""A frozen linear layer whose weight is held in few bits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from simpletuner.precision.stored import StoredWeight


class NoValues(Tensor):
    """What can be said of a tensor that is not there: every operation on it raises RuntimeError.

    A tensor on the meta device would not do: ``linear`` of one with inputs on a CPU returns garbage and says nothing
    (torch 2.13), and adapters would be put on its device.
    """

    @staticmethod
    def __new__(cls: type[NoValues], shape: torch.Size, dtype: torch.dtype, device: torch.device) -> NoValues:
        """Nothing is allocated."""
        empty: NoValues = Tensor._make_wrapper_subclass(cls, shape, dtype=dtype, device=device)  # noqa: SLF001
        return empty

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Tensor:  # type: ignore[override]
        """Raises RuntimeError."""
        raise RuntimeError(f"{func} needs the values of a quantised layer's weight: use frozen_weight(layer)")


class QuantisedLinear(nn.Linear):
    """A linear layer over a :class:`StoredWeight`, for those who look for ``nn.Linear``, its sizes and its bias.

    ``weight`` tells shape, type and device and has no values (:class:`NoValues`). Nothing is kept for the backward
    pass; the weight has no gradient.
    """

    def __init__(self, stored: StoredWeight, bias: Tensor | None) -> None:
        """``bias`` (out,) is shared."""
        nn.Module.__init__(self)
        self.out_features, self.in_features = stored.shape
        self.stored = stored
        self.register_parameter("bias", None if bias is None else nn.Parameter(bias, requires_grad=False))

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """Shape, type and device of the weight, without values."""
        return NoValues(self.stored.shape, self.stored.dtype, self.stored.device)

    def reset_parameters(self) -> None:
        """Raises TypeError: a quantised weight is not initialised."""
        raise TypeError("the weight of a quantised layer is frozen")

    def forward(self, inputs: Tensor) -> Tensor:
        """``inputs`` (..., in) to (..., out), in their type or in autocast's."""
        kind = inputs.device.type
        if torch.is_autocast_enabled(kind):
            inputs = inputs.to(torch.get_autocast_dtype(kind))
        outputs: Tensor = _Product.apply(inputs, self.stored)  # type: ignore[no-untyped-call]
        return outputs if self.bias is None else outputs + self.bias.to(outputs.dtype)


class _Product(Function):
    """Both products of a frozen weight as one function, so that a kernel without a gradient has one."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, stored: StoredWeight) -> Tensor:
        ctx.stored = stored
        return stored.forward_product(inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.stored.backward_product(gradient), None
