"""One block compiled with torch.compile and shared by all blocks of a model."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

import torch
import torch.compiler.config as compiler_config
from torch import Tensor, nn

from simpletuner.models.execution import Compile

_log = logging.getLogger(__name__)
_E = TypeVar("_E", bound=Iterable[object])
Step = Callable[[nn.Module, Tensor, _E], Tensor]
"""``(block, hidden (B, S, d), extra) -> hidden (B, S, d)``."""
MOST_KINDS = 64
"""Kinds of batches that are compiled for; any others run as they are."""


class CompiledStep(Generic[_E]):
    """A step that is compiled once for each kind of batch, whichever block it runs.

    A kind is which of the extra tensors there are, the types and whether gradients are wanted; where every length is
    compiled alone (``dynamic`` false), the lengths too.
    """

    def __init__(self, step: Step[_E], asked: Compile, most: int = MOST_KINDS) -> None:
        """Nothing is compiled before the first call, and for no more than ``most`` kinds."""
        mode = asked.mode if asked.backend == "inductor" and asked.mode != "default" else None
        self._plain = step
        self._most = most
        self._static = not asked.dynamic
        self._compiled: Step[_E] = torch.compile(
            step, backend=asked.backend, mode=mode, fullgraph=asked.fullgraph, dynamic=asked.dynamic
        )
        self.kinds: set[Hashable] = set()

    def __call__(self, block: nn.Module, hidden: Tensor, extra: _E) -> Tensor:
        """See :data:`Step`."""
        kind = self._kind(hidden, extra)
        if kind in self.kinds:
            return self._compiled(block, hidden, extra)
        if len(self.kinds) >= self._most:
            return self._plain(block, hidden, extra)
        self.kinds.add(kind)
        return self._first(block, hidden, extra)

    def _first(self, block: nn.Module, hidden: Tensor, extra: _E) -> Tensor:
        begun = time.monotonic()
        with compiler_config.patch(recompile_limit=2 * self._most):  # type: ignore[attr-defined]
            result = self._compiled(block, hidden, extra)
        count, size = len(self.kinds), "x".join(str(edge) for edge in hidden.shape)
        _log.info("compiled a block for %s in %.0f s (kind %d)", size, time.monotonic() - begun, count)
        if count == self._most:
            _log.warning("torch.compile: %d kinds of batches are compiled; any others run uncompiled", count)
        return result

    def _kind(self, hidden: Tensor, extra: _E) -> Hashable:
        # torch.compile never takes a length of 1 for any length.
        shape = tuple(hidden.shape) if self._static else (hidden.shape[0] == 1,)
        there = tuple(part is None for part in extra)
        return shape, hidden.dtype, torch.is_grad_enabled(), hidden.requires_grad, there
