"""An optimizer of ours, stepped by DeepSpeed, whose state is asked for and put back by whole weights.

DeepSpeed gives the optimizer a few long tensors instead of the weights: flat copies of this process's share. What it
keeps beside them belongs to stretches of weights, and is shown here as pieces of these.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from simpletuner.training.parallel.pieces import Piece, cut_out, is_parted, of_parameter, piece
from simpletuner.training.parallel.processes import Processes


@dataclass(frozen=True)
class Place:
    """Where DeepSpeed keeps this process's stretch of a weight: from ``at`` on in the flat copy ``flat``.

    It is the ``count`` values from ``begin`` on of a weight of ``shape``.
    """

    flat: Tensor
    at: int
    begin: int
    count: int
    shape: torch.Size

    def of(self, values: Tensor) -> Piece:
        """The stretch of a tensor that lies as ``flat`` does."""
        return piece(values[self.at : self.at + self.count], self.begin, self.shape)


class FlatState(MutableMapping[Parameter, dict[str, Any]]):
    """The state beside each weight, as a view of what is kept beside the flat copies."""

    def __init__(self, kept: MutableMapping[Tensor, dict[str, Any]], places: Mapping[Parameter, Place]) -> None:
        """``kept`` is the optimizer's own state, by flat copies."""
        self._kept = kept
        self._places = places

    def __getitem__(self, parameter: Parameter) -> dict[str, Any]:
        """Pieces of tensors, and numbers as they are. Raises KeyError before the first update."""
        place = self._places[parameter]
        return {
            key: place.of(value) if _lies_as(value, place) else value for key, value in self._kept[place.flat].items()
        }

    def __setitem__(self, parameter: Parameter, entries: dict[str, Any]) -> None:
        """Whole tensors in the shape of the weight are put into the flat ones, all else is put beside them."""
        place = self._places[parameter]
        beside = self._kept.setdefault(place.flat, {})
        for key, value in entries.items():
            if isinstance(value, Tensor) and value.shape == place.shape:
                flat = beside.setdefault(key, torch.zeros_like(place.flat, dtype=value.dtype, requires_grad=False))
                held = place.of(flat)
                flat[place.at : place.at + place.count] = cut_out(value, held).to(flat.device)
            else:
                beside[key] = value

    def __delitem__(self, parameter: Parameter) -> None:
        """Forget what is kept beside the flat copy that has the weight."""
        del self._kept[self._places[parameter].flat]

    def __iter__(self) -> Iterator[Parameter]:
        """The weights whose state there is."""
        return (parameter for parameter, place in self._places.items() if place.flat in self._kept)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _lies_as(value: Any, place: Place) -> bool:
    return isinstance(value, Tensor) and value.shape == place.flat.shape


class ZeroOptimizer(torch.optim.Optimizer):
    """What the rest of the program sees of an optimizer that DeepSpeed steps."""

    def __init__(self, engine: Any, parameters: list[Parameter], processes: Processes) -> None:
        """``engine`` is DeepSpeed's, around an optimizer of ours for ``parameters``, in each of ``processes``."""
        self._engine = engine
        self._processes = processes
        base = engine.optimizer.optimizer
        super().__init__(parameters, base.defaults)
        # Rates are set where DeepSpeed's own optimizer reads them.
        self.param_groups = base.param_groups
        self.state = FlatState(base.state, _places(engine.optimizer, parameters))  # type: ignore[assignment]

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of this process's share, and the new weights to all. Raises RuntimeError when nothing moved."""
        del closure
        # The weights are what counts: a checkpoint may have been read into them.
        self._engine.optimizer.refresh_fp32_params()
        self._engine.set_gradient_accumulation_boundary(is_boundary=True)
        with self._processes.losses_named(in_work=True):
            self._engine.step()
        if not self._engine.was_step_applied():
            raise RuntimeError("DeepSpeed has left out an update whose gradients were finite")

    def zero_grad(self, set_to_none: bool = True) -> None:  # noqa: FBT001, FBT002  # torch's signature
        """Forget the gradients, summed and not."""
        zero = self._engine.optimizer
        zero.zero_grad(set_to_none=set_to_none)
        for index in zero.averaged_gradients:
            zero.averaged_gradients[index] = None
        for index in _unsummed(zero):
            zero.all_grad_tensors[index] = None


def _unsummed(zero: Any) -> list[int]:
    """What stages 1 and 2 have of earlier micro-batches; stage 3 writes over it."""
    return list(zero.all_grad_tensors) if hasattr(zero, "all_grad_tensors") else []


def _places(zero: Any, parameters: list[Parameter]) -> dict[Parameter, Place]:
    found = _parted_place if is_parted(parameters[0]) else _whole_place
    return {parameter: found(zero, parameter) for parameter in parameters}


def _parted_place(zero: Any, parameter: Parameter) -> Place:
    """Stage 3: the process's part of the weight, in the flat copy of the group that has it."""
    group, at, _ = zero.grad_position[zero.get_param_id(parameter)]
    held = of_parameter(parameter)
    return Place(zero.fp32_partitioned_groups_flat[group], at, held.begin, held.numel(), held.shape_of_whole)


def _whole_place(zero: Any, parameter: Parameter) -> Place:
    """Stages 1 and 2: the stretch of the weight that lies within this process's share of its group, if any."""
    group = next(number for number, group in enumerate(zero.bit16_groups) if any(each is parameter for each in group))
    flat, mapping = zero.single_partition_of_fp32_groups[group], parameter._hp_mapping  # type: ignore[attr-defined]  # noqa: SLF001
    if mapping is None:
        return Place(flat, 0, 0, 0, parameter.shape)
    inside, here = mapping.lp_fragment_address, mapping.hp_fragment_address
    return Place(flat, here.start, inside.start, inside.numel, parameter.shape)
