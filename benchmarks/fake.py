"""A whole training step on tensors that have sizes and no content, and the most bytes of them alive at once."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import Parameter
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.weak import WeakIdKeyDictionary

from benchmarks.omnigen import FULL_CONFIG, Case, Step, a_batch, recipe
from benchmarks.timing import Figures
from simpletuner.adapters.lokr import chain as lokr_chain
from simpletuner.adapters.lycoris.adapter import attach_lycoris
from simpletuner.models.execution import Execution
from simpletuner.models.loading import quiet_diffusers
from simpletuner.models.omnigen.denoiser import OmniGenDenoiser
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.layers import FACTS
from simpletuner.precision.linear import QuantisedLinear
from simpletuner.precision.stored import StoredWeight
from simpletuner.training.model import TrainedModel
from simpletuner.training.step import row_losses

_CPU = torch.device("cpu")
_ALL = 1 << 60


@dataclass(frozen=True)
class Weights:
    """How many ``bits`` a weight of the blocks' linears takes."""

    bits: float


@dataclass(frozen=True)
class Peak:
    """Bytes alive: before the step (``resting``: weights, adapter, optimizer), and the most within it."""

    resting: int
    highest: int

    def figures(self) -> Figures:
        """In gigabytes (10^9 bytes)."""
        return {"resting": round(self.resting / 1e9, 3), "peak": round(self.highest / 1e9, 3)}


class AliveBytes(TorchDispatchMode):
    """Counts the bytes of every storage that is made inside the block, while it lives."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.highest = 0
        self._known: Any = WeakIdKeyDictionary()

    def see(self, tensors: Iterable[object]) -> None:
        """Count the storages of ``tensors``, each once."""
        for tensor in tensors:
            if not isinstance(tensor, Tensor):
                continue
            storage = tensor.untyped_storage()
            if storage in self._known:
                continue
            size = storage.nbytes()
            self._known[storage] = size
            self.now += size
            self.highest = max(self.highest, self.now)
            weakref.finalize(storage, self._gone, size)

    def _gone(self, size: int) -> None:
        self.now -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.see(tree_iter(result))
        return result


class _Sized(StoredWeight):
    """A stored weight of the right size; a dense one is made for each product, as for formats without a kernel."""

    def __init__(self, out_features: int, in_features: int, bits: float, dtype: torch.dtype) -> None:
        super().__init__(torch.empty(out_features, in_features, dtype=dtype))
        self.register_buffer("data", torch.empty(int(out_features * in_features * bits / 8), dtype=torch.uint8))

    def dense(self, dtype: torch.dtype) -> Tensor:
        """A weight without content."""
        return torch.empty(self.shape, dtype=dtype)


def counted_step(case: Case, weights: Weights, blocks: int) -> Peak:
    """A step of ``case`` in bf16 with the document's LoKr and the trainer's ``adamw_bf16``, not the first."""
    batch = a_batch(case)
    with torch.device("meta"), quiet_diffusers():
        denoiser = OmniGenDenoiser(**{**FULL_CONFIG, "num_layers": blocks}).to(torch.bfloat16)
    with FakeTensorMode(allow_non_fake_inputs=True):
        _fill(denoiser.eval().requires_grad_(requires_grad=False))
        if weights.bits < 16:
            _quantise(denoiser, weights.bits)
        step = _step(denoiser, case)
        alive = AliveBytes()
        # As on a card, where a LoKr is not computed slice by slice.
        with patch.multiple(lokr_chain, SLICE_NUMBERS=_ALL, SLICE_TOKENS=_ALL), alive:
            alive.see([*denoiser.parameters(), *denoiser.buffers(), *step.parameters])
            step.optimizer.step()
            resting = alive.now
            step.run(batch)
    return Peak(resting, alive.highest)


def _step(denoiser: OmniGenDenoiser, case: Case) -> Step:
    family = OmniGen()
    adapter = attach_lycoris(denoiser, recipe(), FACTS.class_aliases, seed=0)
    _fill(adapter, torch.bfloat16)
    family.configure(denoiser, Execution(recompute=case.recompute))
    model = TrainedModel(family, denoiser, adapter).train()
    parameters = list(model.trainable().values())
    return Step(lambda batch: row_losses(model, batch, _CPU), parameters, _Moments(parameters), lambda trained: None)


class _Moments(torch.optim.Optimizer):
    """What ``adamw_bf16`` keeps: two numbers beside each weight. Its own step needs far less than a backward pass."""

    def __init__(self, parameters: list[Parameter]) -> None:
        super().__init__(parameters, {})

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Make the moments, once."""
        del closure
        for parameter in self.param_groups[0]["params"]:
            if not self.state[parameter]:
                self.state[parameter] = {"mean": torch.zeros_like(parameter), "square": torch.zeros_like(parameter)}


def _fill(model: nn.Module, dtype: torch.dtype | None = None) -> None:
    """New fake tensors in place of those that are there, in ``dtype`` or in their own."""
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            module.register_parameter(name, Parameter(_like(parameter, dtype), requires_grad=parameter.requires_grad))
        for name, buffer in list(module.named_buffers(recurse=False)):
            module.register_buffer(name, _like(buffer, None), persistent=False)


def _like(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    return torch.empty(tensor.shape, dtype=dtype or tensor.dtype)


def _quantise(denoiser: OmniGenDenoiser, bits: float) -> None:
    for shape in OmniGen().linears(denoiser):
        stored = _Sized(shape.out_features, shape.in_features, bits, torch.bfloat16)
        denoiser.set_submodule(shape.path, QuantisedLinear(stored, None))
