"""The weight of a frozen linear layer, in whatever number format, as a pair of products.

A frozen layer needs two products only: with its input going forward and with the gradient going back. No gradient of
the weight exists. So a format whose library knows no gradient can be trained over, too.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from simpletuner.precision.linear import QuantisedLinear


class FrozenWeight(Protocol):
    """A weight W (out, in) that is never trained. Both products are in the type of their argument.

    Call them inside an autograd function: they keep nothing for a backward pass of their own.
    """

    def forward_product(self, inputs: Tensor) -> Tensor:
        """``inputs`` (..., in) times W transposed: (..., out)."""
        ...

    def backward_product(self, gradient: Tensor) -> Tensor:
        """``gradient`` (..., out) times W: (..., in)."""
        ...


class DenseWeight:
    """A weight in a floating type, shared with the layer that owns it."""

    def __init__(self, layer: nn.Linear) -> None:
        """``layer`` is kept, not its weight, so that a move to another device is followed."""
        self._layer = layer

    def forward_product(self, inputs: Tensor) -> Tensor:
        """See :class:`FrozenWeight`."""
        return linear(inputs, self._layer.weight.to(inputs.dtype))

    def backward_product(self, gradient: Tensor) -> Tensor:
        """See :class:`FrozenWeight`."""
        return gradient @ self._layer.weight.to(gradient.dtype)

    def is_plain(self, dtype: torch.dtype) -> bool:
        """Whether W lies in memory row after row, in this type."""
        return self._layer.weight.dtype == dtype and self._layer.weight.is_contiguous()

    def rows(self) -> Tensor:
        """W (out, in), not to be written to."""
        return self._layer.weight.detach()


def frozen_weight(layer: nn.Linear) -> FrozenWeight:
    """The weight of ``layer``, whatever its format."""
    return layer.stored if isinstance(layer, QuantisedLinear) else DenseWeight(layer)
