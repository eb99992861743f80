"""What a row of evaluations says: which was the best, whether the model only learns by heart, whether to go on.

All of it is a function of what was measured, so that every process says the same, and a resumed run what an unbroken
one says. No torch here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from simpletuner.validation.loss.paired import difference, mean_of

_SURE = 2.0
"""Standard errors that a rise has to exceed."""


@dataclass(frozen=True)
class Found:
    """An evaluation: the loss of each picture ``held_out`` and of each that is trained on (``seen``)."""

    step: int
    held_out: tuple[float, ...]
    seen: tuple[float, ...] = ()

    @property
    def loss(self) -> float:
        """The mean over the pictures held out."""
        return mean_of(self.held_out).value


@dataclass(frozen=True)
class Judged:
    """All evaluations so far: the ``best``, how many came after it (``waited``), the step of the ``last``, and whether
    the rise since the best one has been ``told``.
    """

    best: Found | None = None
    waited: int = 0
    last: int = 0
    told: bool = False

    @classmethod
    def read(cls, saved: Mapping[str, Any]) -> Judged:
        """From the JSON values of :meth:`write`."""
        best = saved["best"]
        found = Found(best["step"], tuple(best["held_out"]), tuple(best["seen"])) if best else None
        return cls(found, saved["waited"], saved["last"], saved["told"])

    def write(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    def after(self, found: Found) -> Judged:
        """With one evaluation more."""
        if self.best is None or found.loss < self.best.loss:
            return Judged(best=found, last=found.step)
        told = self.told or bool(alarm(self, found))
        return replace(self, waited=self.waited + 1, last=found.step, told=told)

    def is_best(self, step: int) -> bool:
        """Whether the evaluation at ``step`` is the best so far."""
        return self.best is not None and self.best.step == step

    def has_enough(self, patience: int | None) -> bool:
        """Whether so many evaluations in a row were not better than the best; ``patience`` None never has enough."""
        return patience is not None and self.waited >= patience


def alarm(before: Judged, found: Found) -> str:
    """What to tell of ``found`` after the evaluations ``before`` it: "" unless it is a sign of overfitting.

    That is a loss on pictures held out which has risen since the best evaluation by more than 2 standard errors (of the
    paired difference), while that on pictures trained on has not. It is told once for each best evaluation.
    """
    best = before.best
    if best is None or before.told or not found.seen:
        return ""
    risen, learned = difference(found.held_out, best.held_out), difference(found.seen, best.seen)
    if not risen.exceeds(_SURE) or learned.value > 0:
        return ""
    return (
        f"step {found.step}: the loss on pictures held out has risen by {risen.value:.4f} +- {risen.error:.4f} since "
        f"step {best.step}, and that on pictures trained on has fallen by {-learned.value:.4f}: from here on the model "
        "learns its pictures by heart. More pictures, a lower learning rate or a smaller adapter help"
    )
