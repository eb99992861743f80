"""Whether numbers are still numbers, asked before they are written and after they have moved."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer

from simpletuner.core.errors import NonFiniteError
from simpletuner.training.parallel.shards import own
from simpletuner.training.trees import leaves

_NAMED = 8
_CURE = "lower learning_rate, or train with mixed_precision=no; resume from the last checkpoint"


class HurtError(NonFiniteError):
    """Weights are not finite although the gradients were: update ``step`` itself hurt them."""

    def __init__(self, step: int, tensor: str, files: Iterable[str]) -> None:
        self.step = step
        reason = f"update {step} left {tensor} not finite; nothing of it was written; {pictures(files)}"
        super().__init__(reason, files=tuple(files), cure=_CURE)


def first_hurt(tensors: Mapping[str, Tensor]) -> str | None:
    """The name of the first tensor with a NaN or an infinity; None when there is none, known after one transfer.

    Of a tensor that processes hold in parts, this one looks at its own.
    """
    held = ((name, own(tensor)) for name, tensor in tensors.items() if tensor.is_floating_point())
    # Floats of a byte have no norms of their own.
    named = {name: tensor.float() if tensor.itemsize == 1 else tensor for name, tensor in held if tensor.numel()}
    if not named:
        return None
    norms = torch._foreach_norm(list(named.values()))  # noqa: SLF001  # what clip_grad_norm_ itself calls
    if bool(torch.stack([norm.float() for norm in norms]).isfinite().all()):
        return None
    # Squares may overflow where every entry is finite.
    return next((name for name, tensor in named.items() if not tensor.isfinite().all()), None)


def require_finite(what: str, tensors: Mapping[str, Tensor], step: int) -> None:
    """Raises NonFiniteError, naming the tensor, when one of those that are about to be written is not finite."""
    if hurt := first_hurt(tensors):
        reason = f"the {what} after step {step} cannot be saved: {hurt} is not finite; earlier checkpoints stay"
        raise NonFiniteError(reason, cure=_CURE)


def not_finite(step: int, loss: float, norm: float, files: Iterable[str], suspects: Iterable[str]) -> NonFiniteError:
    """What an update without a finite gradient ends with. ``suspects`` are pictures whose own loss is not finite."""
    suspected = sorted(set(suspects))
    found = f"; the loss of {', '.join(suspected[:_NAMED])} is not finite" if suspected else ""
    reason = (
        f"step {step} gave loss {loss} and gradient norm {norm}; weights were not touched; {pictures(files)}{found}"
    )
    return NonFiniteError(reason, files=tuple(files), cure=_CURE)


def in_words(error: NonFiniteError | None) -> str:
    """What another process needs to raise ``error``, too."""
    return json.dumps([error.reason, error.files, error.cure] if error else None)


def joined(each: Sequence[str]) -> NonFiniteError:
    """One error from the words of all processes, some of which have found one."""
    reasons, files, cures = zip(*filter(None, map(json.loads, each)), strict=True)
    return NonFiniteError(
        "; ".join(dict.fromkeys(reasons)), files=tuple(file for found in files for file in found), cure=cures[0]
    )


def pictures(files: Iterable[str]) -> str:
    """The pictures of an update, for a message."""
    names = sorted(set(files))
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"pictures: {', '.join(names[:_NAMED])}{more}"


def require_sound(
    weights: Mapping[str, Tensor], optimizer: Optimizer, average: Mapping[str, Tensor], step: int
) -> None:
    """Raises NonFiniteError when anything that a checkpoint is about to hold is not finite."""
    names = {id(parameter): name for name, parameter in weights.items()}
    state: dict[str, Tensor] = {}
    for parameter, entries in optimizer.state.items():
        if id(parameter) in names:
            state |= leaves(entries, names[id(parameter)])
    require_finite("weights", weights, step)
    require_finite("optimizer's state", state, step)
    require_finite("average (EMA)", average, step)
