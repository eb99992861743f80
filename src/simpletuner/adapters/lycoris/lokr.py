"""What is put before LyCORIS's LoKr: the same numbers, computed for what their mathematics costs.

LyCORIS makes the adapter and keeps it: parameters, first values, names, files, strength, dropout. Only the forward pass
of a branch that drops nothing is ours, with its gradients.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

from torch import Tensor, nn

from simpletuner.adapters.lokr.product import Factors, FrozenLinear, lokr_linear, plan_of
from simpletuner.adapters.lycoris.variants import NewWeight
from simpletuner.precision.frozen import frozen_weight
from simpletuner.precision.linear import QuantisedLinear


class LokrBranch(NewWeight):
    """Before LoKr: a branch beside a frozen linear layer is one function with it; everything else stays LyCORIS's."""

    use_w1: bool
    use_w2: bool
    lokr_w1: Tensor
    lokr_w1_a: Tensor
    lokr_w1_b: Tensor
    lokr_w2: Tensor
    lokr_w2_a: Tensor
    lokr_w2_b: Tensor
    scale: float
    scalar: Tensor
    dropout: float
    wd: bool

    def __init__(self, *args: Any, **options: Any) -> None:
        """Everything goes to LyCORIS's class."""
        super().__init__(*args, **options)
        layer = self.org_module[0]
        varied = self.wd or self.dropout or self.rank_dropout or self.module_dropout
        plain = isinstance(layer, nn.Linear) and not isinstance(self.scalar, nn.Parameter)
        is_ours = self.bypass_mode and plain and not varied
        self.plan = plan_of(self._factors()) if is_ours else None
        self.is_first = False

    def apply_to(self, **options: Any) -> None:
        """Take the forward pass of the layer."""
        super().apply_to(**options)  # type: ignore[misc]
        layer = self.org_module[0]
        # Something else may have taken it before, and must be asked, too.
        self.is_first = self.org_forward == MethodType(type(layer).forward, layer)

    def forward(self, inputs: Tensor) -> Tensor:
        """The layer with its adapter."""
        layer = self.org_module[0]
        if self.plan is None or not self.is_first or not _is_frozen(layer):
            output: Tensor = super().forward(inputs)
            return output
        base = FrozenLinear(frozen_weight(layer), layer.bias)
        return lokr_linear(inputs, base, self._factors(), self.plan, self.scale * self.multiplier)

    def _factors(self) -> Factors:
        w1, w1_b = (self.lokr_w1, None) if self.use_w1 else (self.lokr_w1_a, self.lokr_w1_b)
        w2, w2_b = (self.lokr_w2, None) if self.use_w2 else (self.lokr_w2_a, self.lokr_w2_b)
        return Factors(w1, w2, w1_b, w2_b)


def _is_frozen(layer: nn.Linear) -> bool:
    # A quantised weight always is; torch's compiler cannot make the tensor that stands for it.
    if isinstance(layer, QuantisedLinear):
        return True
    return not (layer.weight.requires_grad or (layer.bias is not None and layer.bias.requires_grad))
