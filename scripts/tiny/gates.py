"""What the tiny world has to reach: bounds for weights that were trained on CUDA, and on a CPU alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

TrainedOn = Literal["cpu", "cuda"]
Figures = Mapping[str, float]


@dataclass(frozen=True)
class Gate:
    """A bound on one figure; ``cpu`` where weights trained without a GPU may fall short of ``cuda``."""

    cuda: float
    cpu: float
    at_least: bool = True

    def bound(self, trained_on: TrainedOn) -> float:
        """The bound that holds for weights trained there."""
        return self.cuda if trained_on == "cuda" else self.cpu

    def holds(self, value: float, trained_on: TrainedOn) -> bool:
        """Whether ``value`` is on the right side of the bound."""
        bound = self.bound(trained_on)
        return value >= bound if self.at_least else value <= bound


def _least(cuda: float, cpu: float | None = None) -> Gate:
    return Gate(cuda, cuda if cpu is None else cpu)


def _most(bound: float) -> Gate:
    return Gate(bound, bound, at_least=False)


GATES: Mapping[str, Gate] = MappingProxyType(
    {
        "vae_psnr_db": _least(27.0, 23.0),
        "tae_psnr_behind_vae_db": _most(2.0),
        "tae_decode_speedup": _least(3.0),
        "clip_retrieval_of_100_trained": _least(0.80, 0.70),
        "drawn_nearest_in_clip_of_100": _least(0.85, 0.75),
        "drawn_nearest_in_pixels_of_100": _least(0.75, 0.60),
        "style_judge_accuracy": _least(0.98),
        "style_flat_before": _most(0.10),
        "style_flat_after": _least(0.90),
        "style_retrieval_lost": _most(0.15),
        "style_seconds": _most(300.0),
        "subject_found_before": _most(0.10),
        "subject_found_after": _least(0.90),
        "subject_prior_retrieval_lost": _most(0.15),
        "subject_seconds": _most(300.0),
        "models_megabytes": _most(40.0),
    }
)


def failures(figures: Figures, trained_on: TrainedOn) -> list[str]:
    """A line for each gate whose figure is there and does not hold."""
    return [
        f"{name}: {figures[name]:.3f}, {'at least' if gate.at_least else 'at most'} {gate.bound(trained_on)} is asked"
        for name, gate in GATES.items()
        if name in figures and not gate.holds(figures[name], trained_on)
    ]
