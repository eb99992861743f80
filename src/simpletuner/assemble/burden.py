"""Whether a model is too much for a computer without a card. No torch here."""

from __future__ import annotations

import math
import shutil
import sys
from pathlib import Path

from simpletuner.assemble.adapter_plan import weight_shapes
from simpletuner.config.load import LoadedRun
from simpletuner.models.facts import FamilyFacts

_MANY = 500_000_000
AMD = Path("/dev/kfd")
"""AMD's driver, where it is loaded."""


def has_card() -> bool:
    """Whether there is a driver of NVIDIA or AMD, or the computer is Apple's. Asks no driver: that can take seconds."""
    return sys.platform == "darwin" or shutil.which("nvidia-smi") is not None or AMD.exists()


def without_card(loaded: LoadedRun, facts: FamilyFacts) -> str | None:
    """What a CPU makes of the model of a run, for the user; None where its weights are few, or not known yet."""
    weights = _weights(loaded, facts)
    if weights < _MANY:
        return None
    return (
        f"no GPU was found: {weights / 1e9:.1f} billion weights in fp32 take {4 * weights / 1e9:.0f} GB of this "
        "computer's memory, and a step takes minutes; model_flavour=tiny is for trying without a GPU"
    )


def is_small(loaded: LoadedRun, facts: FamilyFacts) -> bool:
    """Whether a CPU is enough for the model of a run; False where its weights are not known yet."""
    return 0 < _weights(loaded, facts) < _MANY


def _weights(loaded: LoadedRun, facts: FamilyFacts) -> int:
    return sum(map(math.prod, weight_shapes(loaded, facts)))
