"""What a LoKr of every factor would be: values, bytes and shares of each class of layers. Pure, and no torch.

A larger factor is a smaller adapter. With both factors of a layer whole, as ``linear_dim`` 10000 or ``full_matrix``
leave them, ``linear_alpha`` has no effect: the scale is 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simpletuner.adapters.lokr.size import lokr_shape
from simpletuner.core.linears import LinearShape

FACTORS = (4, 8, 16, 25, 32, 64)


@dataclass(frozen=True)
class ClassSize:
    """The layers inside one class of modules: how many, and the values that they train."""

    class_name: str
    layers: int
    parameters: int


@dataclass(frozen=True)
class FactorPlan:
    """An adapter with whole factors over every layer, all of them split by ``factor``."""

    factor: int
    classes: tuple[ClassSize, ...]

    @property
    def parameters(self) -> int:
        """The values of all classes."""
        return sum(size.parameters for size in self.classes)

    def share(self, size: ClassSize) -> float:
        """The part of one of its classes, between 0 and 1."""
        return size.parameters / self.parameters if self.parameters else 0.0


def plan_factors(shapes: Sequence[LinearShape], factors: Sequence[int] = FACTORS) -> tuple[FactorPlan, ...]:
    """A plan for each of ``factors``; classes are the innermost modules around the layers, in their order."""
    return tuple(FactorPlan(factor, _classes(shapes, factor)) for factor in factors)


def _classes(shapes: Sequence[LinearShape], factor: int) -> tuple[ClassSize, ...]:
    names = dict.fromkeys(shape.inside[-1] for shape in shapes)
    inside = {name: [shape for shape in shapes if shape.inside[-1] == name] for name in names}
    return tuple(ClassSize(name, len(found), _parameters(found, factor)) for name, found in inside.items())


def _parameters(shapes: Sequence[LinearShape], factor: int) -> int:
    return sum(lokr_shape(shape.out_features, shape.in_features, factor).parameters for shape in shapes)
