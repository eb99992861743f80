"""The one door to pytorch-optimizer: SOAP, Prodigy, Muon and the schedule-free AdamW."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn import Parameter

from simpletuner.training.optimizers.library import library

_KINDS = {"soap": "SOAP", "prodigy": "Prodigy", "muon": "Muon"}
_SCHEDULE_FREE = "ScheduleFreeAdamW"


def build(
    name: str, parameters: Sequence[Parameter], rate: float, settings: Mapping[str, Any]
) -> torch.optim.Optimizer:
    """The optimizer; Muon's own rule is for matrices, the rest of the parameters go to its AdamW. See :data:`Door`."""
    kind = getattr(library("pytorch_optimizer", name), _KINDS.get(name, _SCHEDULE_FREE))
    chosen = dict(settings)
    if name == "muon":
        chosen["adamw_lr"] = rate
    held: Any = _by_shape(parameters) if name == "muon" else parameters
    optimizer: torch.optim.Optimizer = kind(held, lr=rate, **chosen)
    return optimizer


def _by_shape(parameters: Sequence[Parameter]) -> list[dict[str, Any]]:
    groups = [
        {"params": [parameter for parameter in parameters if (parameter.ndim > 1) == is_matrix], "use_muon": is_matrix}
        for is_matrix in (True, False)
    ]
    return [group for group in groups if group["params"]]
