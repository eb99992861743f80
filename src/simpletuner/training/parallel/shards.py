"""Tensors that processes hold in parts (FSDP2's DTensors, ZeRO's pieces), and plain ones that each has whole."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

from simpletuner.training.parallel.pieces import Piece, cut_out, is_parted, join, of_parameter, piece, plain


def complete(value: Tensor) -> Tensor:
    """All of ``value``. All processes call this in the same order, for they have to hand out their parts."""
    held = _held(value)
    if isinstance(held, Piece):
        return join(held)
    return held.full_tensor() if isinstance(held, DTensor) else held


def gathered(tensors: Mapping[str, Tensor], *, keep: bool) -> dict[str, Tensor]:
    """All of each tensor, in the host's memory; one by one, and with ``keep`` off only handed out to the others."""
    found: dict[str, Tensor] = {}
    for name, value in tensors.items():
        whole = complete(value)
        if keep:
            found[name] = whole.cpu()
    return found


def is_shared(value: Tensor) -> bool:
    """Whether this process holds only a part of ``value``."""
    return isinstance(value, DTensor | Piece) or is_parted(value)


def own(value: Tensor) -> Tensor:
    """The part of ``value`` that this process holds; what is written into it is written into ``value``."""
    held = _held(value)
    if isinstance(held, Piece):
        return plain(held)
    return held.to_local() if isinstance(held, DTensor) else held


def values_of(value: Tensor) -> int:
    """How many values all of ``value`` has."""
    held = _held(value)
    return held.shape_of_whole.numel() if isinstance(held, Piece) else held.numel()


def copied(value: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """A copy of ``value`` in another type and place, held in the same parts."""
    held = _held(value)
    if isinstance(held, Piece):
        return piece(plain(held).to(device, dtype, copy=True), held.begin, held.shape_of_whole)
    return held.to(device, dtype).clone()


def shared_like(whole: Tensor, model: Tensor) -> Tensor:
    """``whole``, which every process has, in parts like those of ``model`` and where they lie."""
    held = _held(model)
    if isinstance(held, Piece):
        return cut_out(whole, held).to(held.device)
    if not isinstance(held, DTensor):
        return whole
    return distribute_tensor(whole.to(own(held).device), held.device_mesh, held.placements, src_data_rank=None)


@torch.no_grad()
def fill(target: Tensor, whole: Tensor) -> None:
    """Write the values of ``whole``, which every process has, into ``target``."""
    held = _held(target)
    (plain(held) if isinstance(held, Piece) else held).copy_(shared_like(whole, held))


def _held(value: Tensor) -> Tensor:
    """``value`` as what it is made of here, without a history."""
    if isinstance(value, Piece):
        return value
    if is_parted(value):
        return of_parameter(value)
    return value.detach() if value.requires_grad else value
