"""The weight that a viewer makes of a layer and what its adapter file holds of it, from the file alone.

Written after the formulas and not with LyCORIS or PEFT, so that a file is judged by another reader than its writer.
Formulas: LoRA (Hu et al. 2021, arXiv 2106.09685), LoHa and LoKr (Yeh et al. 2023, arXiv 2309.14859), DoRA (Liu et al.
2024, arXiv 2402.09353).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from simpletuner.adapters.export.layers import method_of
from simpletuner.core.errors import DataError

# LyCORIS adds it to the norms of DoRA.
_EPSILON = torch.finfo(torch.float32).eps


def weight_with(weight: Tensor, leaves: Mapping[str, Tensor]) -> Tensor:
    """``weight`` (out, in) with the adapter of its layer, float32. Raises DataError when they do not fit."""
    wide = {leaf: tensor.float() for leaf, tensor in leaves.items()}
    make = _DELTAS.get(method_of(leaves))
    if make is None:
        raise DataError(f"holds tensors that no viewer adds to a weight: {', '.join(leaves)}")
    delta = make(wide)
    if delta.shape != weight.shape:
        raise DataError(f"a delta of shape {tuple(delta.shape)} does not fit a weight of {tuple(weight.shape)}")
    changed = weight.float() + delta
    return _rescaled(changed, wide["dora_scale"]) if "dora_scale" in wide else changed


def _scale(leaves: Mapping[str, Tensor], rank: int) -> float:
    return float(leaves["alpha"]) / rank if "alpha" in leaves else 1.0


def _lora(leaves: Mapping[str, Tensor]) -> Tensor:
    up, down = leaves["lora_up.weight"], leaves["lora_down.weight"]
    return up @ down * _scale(leaves, len(down))


def _loha(leaves: Mapping[str, Tensor]) -> Tensor:
    first, second = (leaves[f"hada_{one}_a"] @ leaves[f"hada_{one}_b"] for one in ("w1", "w2"))
    return first * second * _scale(leaves, len(leaves["hada_w1_b"]))


def _lokr(leaves: Mapping[str, Tensor]) -> Tensor:
    """Two whole factors have no rank, and alpha says nothing then."""
    inner = [leaves[f"{one}_b"] for one in ("lokr_w2", "lokr_w1") if f"{one}_b" in leaves]
    product = torch.kron(_factor(leaves, "lokr_w1"), _factor(leaves, "lokr_w2"))
    return product * _scale(leaves, len(inner[0])) if inner else product


def _factor(leaves: Mapping[str, Tensor], name: str) -> Tensor:
    return leaves[name] if name in leaves else leaves[f"{name}_a"] @ leaves[f"{name}_b"]


_DELTAS: dict[str, Callable[[Mapping[str, Tensor]], Tensor]] = {
    "lora": _lora,
    "loha": _loha,
    "lokr": _lokr,
    "full": lambda leaves: leaves["diff"],
}


def _rescaled(weight: Tensor, scale: Tensor) -> Tensor:
    """DoRA: each row (``scale`` (out, 1)) or each column ((1, in)) brought to its trained norm."""
    return weight * (scale / (weight.norm(dim=1 if scale.shape[0] != 1 else 0, keepdim=True) + _EPSILON))
