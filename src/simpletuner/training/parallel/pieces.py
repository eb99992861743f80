"""A run of a tensor's values, laid flat: what ZeRO gives each process of a weight or of an optimizer's state.

DeepSpeed lays tensors side by side and cuts the whole row evenly, so a process holds any stretch of a tensor, or none.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import Parameter


class Piece(Tensor):
    """The values of a tensor of ``shape_of_whole`` from ``begin`` on, as many as it has; plain tensors come of it."""

    begin: int
    shape_of_whole: torch.Size

    # As Parameter does: what is computed from one is no piece.
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]  # noqa: SLF001


def piece(values: Tensor, begin: int, shape_of_whole: torch.Size) -> Piece:
    """``values`` (N,), which are shared and not copied, as those of a tensor from its value ``begin`` on."""
    made = values.detach().as_subclass(Piece)
    made.begin, made.shape_of_whole = begin, shape_of_whole
    return made


def is_parted(value: Tensor) -> bool:
    """Whether DeepSpeed has cut the parameter ``value`` itself (ZeRO 3): between passes it has no values of its own."""
    return isinstance(value, Parameter) and hasattr(value, "ds_tensor")


def of_parameter(value: Tensor) -> Piece:
    """This process's piece of a parameter that DeepSpeed has cut, without what fills up the last one."""
    held: Tensor = value.ds_tensor.detach().view(-1)  # type: ignore[attr-defined]
    whole: torch.Size = value.ds_shape  # type: ignore[attr-defined]
    begin = min(dist.get_rank() * held.numel(), whole.numel())
    return piece(held[: max(0, min(held.numel(), whole.numel() - begin))], begin, whole)


def plain(held: Piece) -> Tensor:
    """The values that are here, (N,); what is written into them is written into the piece."""
    return held.as_subclass(Tensor)


def cut_out(whole: Tensor, like: Piece) -> Tensor:
    """What ``like`` holds of a tensor that every process has, (N,)."""
    return whole.reshape(-1)[like.begin : like.begin + like.numel()]


def join(held: Piece) -> Tensor:
    """All values of the tensor, from the pieces of all processes, which call this in the same order.

    Bytes are added, and where one process has some the others have zeros: no rounding, and -0.0 stays what it is.
    """
    whole = torch.zeros(held.shape_of_whole.numel(), dtype=held.dtype, device=held.device)
    whole[held.begin : held.begin + held.numel()] = plain(held)
    dist.all_reduce(whole.view(torch.uint8))
    return whole.view(held.shape_of_whole)
