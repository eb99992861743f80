"""Runs the blocks of a model the way an :class:`Execution` says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import count
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from simpletuner.models.attention_kernel import attention_kernel
from simpletuner.models.block_swap import BlockSwap, Way
from simpletuner.models.compiled import CompiledStep, Step
from simpletuner.models.execution import Execution
from simpletuner.models.recompute import BlockBytes, Group, by_interval, keeping, kept_blocks, plain, saved_bytes

_E = TypeVar("_E", bound=Iterable[object])
_MOST_SIZES = 256


class BlockRunner(Generic[_E]):
    """The blocks of a model, and how they run. The numbers that come out do not depend on how."""

    def __init__(
        self, blocks: Sequence[nn.Module], step: Step[_E], execution: Execution, last: Step[_E] | None = None
    ) -> None:
        """``step`` runs one block, and ``last``, when it is given, the last one.

        Raises ConfigError when more blocks are to be swapped than can be, ValueError when they would not be recomputed
        one by one.
        """
        if execution.swapped and not (execution.recompute and execution.interval == 1):
            raise ValueError("swapped blocks are recomputed one by one: their weights leave before the backward pass")
        self.execution = execution
        self.swap = BlockSwap(blocks, execution.swapped) if execution.swapped else None
        self._blocks = blocks
        self._plain = step
        self._step = _made(step, execution)
        self._last = self._step if last is None else _made(last, execution)
        self._sizes: dict[tuple[object, ...], BlockBytes] = {}

    def __call__(self, hidden: Tensor, extra: _E) -> Tensor:
        """Hidden states (B, S, d) through all blocks; ``extra`` is what every block needs beside them."""
        for group in self.groups(hidden, extra):
            if group.recomputed:
                times = count()
                hidden = checkpoint(self._run, group, hidden, extra, times, use_reentrant=False)
            else:
                hidden = self._run(group, hidden, extra, count())
        return hidden

    def through_modules(self) -> None:
        """From here on a block runs by being called as a module, so that what hooks into it sees each of its passes."""
        for index, block in enumerate(self._blocks):
            block.forward = partial(self._last if index == len(self._blocks) - 1 else self._step, block)
        self._step = self._last = _call

    def groups(self, hidden: Tensor, extra: _E) -> tuple[Group, ...]:
        """Which blocks of this pass keep what their backward pass needs."""
        blocks, asked = len(self._blocks), self.execution
        if not asked.recompute or not torch.is_grad_enabled():
            return plain(blocks)
        if asked.interval > 1:
            return by_interval(blocks, asked.interval)
        swapped = self.swap.order if self.swap else ()
        free = [index for index in range(blocks) if index not in swapped]
        kept = {blocks - 1}.intersection(free)
        if asked.budget is not None and free:
            kept |= kept_blocks(blocks, free, self._size(free[-1], hidden, extra), asked.budget)
        return keeping(blocks, kept)

    def move(self) -> AbstractContextManager[None]:
        """Inside the block the model may move to another device; swapped weights stay where they are."""
        return nullcontext() if self.swap is None else self.swap.away()

    def _run(self, group: Group, hidden: Tensor, extra: _E, times: Iterable[int]) -> Tensor:
        again = next(iter(times)) > 0
        with attention_kernel(self.execution.attention):
            for index in range(group.start, group.stop):
                if self.swap is not None:
                    self.swap.visit(index, hidden.device, _way(again=again))
                step = self._last if index == len(self._blocks) - 1 else self._step
                hidden = step(self._blocks[index], hidden, extra)
        return hidden

    def _size(self, index: int, hidden: Tensor, extra: _E) -> BlockBytes:
        """What block ``index`` keeps for this batch, measured once for each kind of batch."""
        parts = (part.shape if isinstance(part, Tensor) else part for part in _leaves(extra))
        kind = (hidden.shape, hidden.dtype, *parts)
        if kind not in self._sizes:
            if len(self._sizes) >= _MOST_SIZES:
                self._sizes.clear()
            self._sizes[kind] = self._measure(index, hidden, extra)
        return self._sizes[kind]

    def _measure(self, index: int, hidden: Tensor, extra: _E) -> BlockBytes:
        block, entry = self._blocks[index], hidden.detach().requires_grad_()
        beside = [part for part in _leaves(extra) if isinstance(part, Tensor)]
        weights = [*block.parameters(), *block.buffers(), *beside]
        with attention_kernel(self.execution.attention):
            kept = saved_bytes(lambda: self._plain(block, entry, extra), weights)
        return BlockBytes(kept=max(kept, entry.nbytes), entry=entry.nbytes)


def _made(step: Step[_E], execution: Execution) -> Step[_E]:
    return step if execution.compiled is None else CompiledStep(step, execution.compiled)


def _call(block: nn.Module, hidden: Tensor, extra: object) -> Tensor:
    called: Tensor = block(hidden, extra)
    return called


def _way(*, again: bool) -> Way:
    if again:
        return Way.BACKWARD
    return Way.FORWARD if torch.is_grad_enabled() else Way.ROUND


def _leaves(extra: Iterable[object]) -> Iterator[object]:
    for part in extra:
        if isinstance(part, tuple):
            yield from _leaves(part)
        else:
            yield part
