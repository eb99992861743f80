"""Weights in parts, one for each process: FSDP2, which is torch's ``fully_shard``, called here and by nobody else.

Each block of the transformer is a unit: its weights are gathered while it computes and given back afterwards; what lies
outside of the blocks is one more unit. An adapter stays whole in every process, for it is small and its layers read
their frozen neighbours inside the block, when these are there; its gradients are summed as those of whole copies are.
Without an adapter gradients are summed as they are shared out, and optimizer and average work on parts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import CPUOffloadPolicy, FSDPModule, OffloadPolicy, fully_shard
from torch.nn import Parameter

from simpletuner.core.endings import OnError
from simpletuner.core.samples import Update, Use
from simpletuner.training.gradients import GradientSize
from simpletuner.training.model import TrainedModel
from simpletuner.training.parallel.replicas import Replicas
from simpletuner.training.parallel.shards import is_shared, own
from simpletuner.training.room import memory_named


@dataclass(frozen=True)
class ShardSettings:
    """``reshard`` gives weights back between forward and backward; ``offload`` keeps parts in the host's memory."""

    reshard: bool = True
    offload: bool = False


@dataclass(frozen=True)
class Sharded(Replicas):
    """Processes that hold a model together; ``units`` are what is gathered at a time."""

    units: tuple[FSDPModule, ...] = ()

    @property
    def is_sharded(self) -> bool:
        """Every process takes part in every pass."""
        return True

    def passes(self, slices: Sequence[Sequence[Use]], update: Update) -> Sequence[tuple[Sequence[Use], bool]]:
        """As many as every other process: one without samples computes a sample of another's, which does not count."""
        return [(uses or update.uses[:1], bool(uses)) for uses in slices]

    @contextmanager
    def in_passes(self) -> Iterator[None]:
        """Others sit in a gather when one fails, and can be told of it, but not exchange anything any more."""
        named = self.processes.losses_named(in_work=True)
        with OnError(self.processes.tear), named, memory_named("out of memory"):
            yield

    @contextmanager
    def moving(self) -> Iterator[None]:
        """As in passes: ZeRO exchanges weights there."""
        with self.in_passes():
            yield

    @contextmanager
    def together(self) -> Iterator[None]:
        """The same holds for pictures, evaluations and checkpoints: all take part in them."""
        with super().together(), self.in_passes():
            yield

    def sum_gradients(self, parameters: Sequence[Parameter]) -> None:
        """Those of parts are summed already."""
        super().sum_gradients([parameter for parameter in parameters if not is_shared(parameter)])

    def settle(self) -> None:
        """Give back what a pass without a backward pass has left gathered."""
        for unit in self.units:
            unit.reshard()

    def whole_size(self, size: GradientSize) -> GradientSize:
        """The size of all gradients from that of each process's part; an adapter's are whole in every process."""
        if not any(is_shared(parameter) for unit in self.units for parameter in _trained(unit)):
            return size
        return self.size_of_parts(size)

    def size_of_parts(self, size: GradientSize) -> GradientSize:
        """The size of all gradients, where every process has measured its own and no two have the same."""
        squares = torch.zeros(self.count + 1, dtype=torch.float64, device=self.device)
        squares[0], squares[1 + self.rank] = size.norm**2, size.absmax
        total, *largest = self.sum(squares).tolist()
        absmax = math.nan if any(math.isnan(value) for value in largest) else max(largest)
        return GradientSize(norm=math.sqrt(total) if total >= 0 else math.nan, absmax=absmax)


def shard(model: TrainedModel, whole: Replicas, settings: ShardSettings) -> Sharded:
    """Cut the weights of ``model`` into parts on the devices of all processes; the adapter is moved whole."""
    kind = whole.device.type
    mesh = init_device_mesh(kind, (whole.count,))
    offload = CPUOffloadPolicy(pin_memory=kind != "cpu") if settings.offload else OffloadPolicy()
    whole_here = set(model.adapter.parameters()) if model.adapter is not None else set()
    if model.adapter is not None:
        model.adapter.to(whole.device)
    units = []
    for module in (*model.family.as_units(model.denoiser), model):
        # The outermost would by default stay gathered after its forward pass, and then has no parts to train.
        unit = fully_shard(
            module,
            mesh=mesh,
            reshard_after_forward=settings.reshard or module is model,
            offload_policy=offload,
            ignored_params=whole_here,
        )
        # Losses are divided by all samples of an update already: gradients are summed.
        unit.set_gradient_divide_factor(1.0)
        unit.set_force_sum_reduction_for_comms(enable=True)
        units.append(unit)
    whole.processes.listen({mesh.get_group(), *([dist.group.WORLD] if dist.group.WORLD else [])})
    return Sharded(whole.device, whole.processes, tuple(units))


def held_bytes(model: TrainedModel) -> int:
    """Bytes of weights that this process holds between passes."""
    return sum(own_bytes(parameter) for parameter in model.parameters())


def own_bytes(value: Tensor) -> int:
    """Bytes of the part of ``value`` in this process."""
    return own(value).nbytes


def _trained(unit: FSDPModule) -> list[Parameter]:
    return [parameter for parameter in unit.parameters() if parameter.requires_grad]  # type: ignore[attr-defined]
