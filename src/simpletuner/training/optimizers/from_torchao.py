"""The one door to torchao's optimizers: AdamW with states of 8 bits, 4 bits and fp8."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from simpletuner.training.optimizers.library import library

_KINDS = {
    "ao-adamw8bit": "AdamW8bit",
    "ao-adamw4bit": "AdamW4bit",
    "ao-adamfp8": "AdamFp8",
    "ao-adamwfp8": "AdamWFp8",
}
_STATES = {
    "OptimState8bit": "torchao.optim.subclass_8bit",
    "OptimState4bit": "torchao.optim.subclass_4bit",
    "OptimStateFp8": "torchao.optim.subclass_fp8",
}
_COMPILES_FP8 = (8, 9)


def build(
    name: str, parameters: Sequence[Parameter], rate: float, settings: Mapping[str, Any]
) -> torch.optim.Optimizer:
    """The optimizer; bf16 weights are rounded stochastically, by torch's own stream. See :data:`Door`.

    torchao compiles its step for each shape, which pays on CUDA; elsewhere, where it takes 13 s a shape or has no
    compiler, the step runs as it is written.
    """
    kind = getattr(library("torchao.optim", name), _KINDS[name])
    narrow = any(parameter.dtype == torch.bfloat16 for parameter in parameters)
    optimizer: torch.optim.Optimizer = kind(parameters, lr=rate, **{"bf16_stochastic_round": narrow, **settings})
    if _can_compile(name, parameters):
        warnings.filterwarnings("ignore", r"OptimState\w+ does not implement _stable_hash_for_caching", UserWarning)
    else:
        optimizer.step = _eagerly(optimizer.step)  # type: ignore[method-assign]
    return optimizer


def _can_compile(name: str, parameters: Sequence[Parameter]) -> bool:
    if not all(parameter.is_cuda for parameter in parameters):
        return False
    return "fp8" not in name or torch.cuda.get_device_capability(parameters[0].device) >= _COMPILES_FP8


def _eagerly(step: Callable[..., Any]) -> Callable[..., Any]:
    def stepped(closure: Callable[[], float] | None = None) -> Any:
        with torch.compiler.set_stance("force_eager"):
            return step(closure)

    return stepped


def is_packed(value: object) -> bool:
    """Whether ``value`` is a tensor of torchao's that holds several plain ones."""
    return isinstance(value, Tensor) and type(value).__name__ in _STATES


def unpack(packed: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The plain tensors, and in plain JSON what else it takes to :func:`pack` them again."""
    names, facts = packed.__tensor_flatten__()
    return {name: getattr(packed, name) for name in names}, {
        "kind": type(packed).__name__,
        "facts": [_plain(fact) for fact in facts],
    }


def pack(parts: Mapping[str, Tensor], how: Mapping[str, Any]) -> Tensor:
    """The opposite of :func:`unpack`."""
    kind = getattr(library(_STATES[how["kind"]], "ao-adamw"), how["kind"])
    packed: Tensor = kind.__tensor_unflatten__(dict(parts), [_fact(plain) for plain in how["facts"]])
    return packed


def _plain(fact: Any) -> Any:
    if isinstance(fact, torch.dtype):
        return str(fact)
    return list(fact) if isinstance(fact, tuple) else fact


def _fact(plain: Any) -> Any:
    if isinstance(plain, str):
        return getattr(torch, plain.removeprefix("torch."))
    return torch.Size(plain) if isinstance(plain, list) else plain
