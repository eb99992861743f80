"""Which blocks keep what their backward pass needs, and which compute it again; pure, but for the measuring."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks


@dataclass(frozen=True)
class Group:
    """Blocks ``start`` to before ``stop`` that run as one; a ``recomputed`` group keeps only its input."""

    start: int
    stop: int
    recomputed: bool


@dataclass(frozen=True)
class BlockBytes:
    """What one block holds until its backward pass: ``kept`` when nothing is computed again, else its ``entry``.

    ``kept`` counts the entry too. Both are bytes for one batch.
    """

    kept: int
    entry: int


def plain(blocks: int) -> tuple[Group, ...]:
    """All blocks keep everything."""
    return (Group(0, blocks, recomputed=False),)


def by_interval(blocks: int, interval: int) -> tuple[Group, ...]:
    """Groups of ``interval`` blocks, each recomputed as one; the last may be shorter, and keeps everything.

    The backward pass begins with the last group, and would compute it again at once: keeping it takes no more memory.
    """
    starts = range(0, blocks, interval)
    return tuple(Group(start, min(start + interval, blocks), recomputed=start + interval < blocks) for start in starts)


def keeping(blocks: int, kept: Collection[int]) -> tuple[Group, ...]:
    """Every block a group of its own; those in ``kept`` keep everything, the others are recomputed."""
    return tuple(Group(index, index + 1, recomputed=index not in kept) for index in range(blocks))


def kept_blocks(blocks: int, free: Collection[int], size: BlockBytes, budget: int) -> frozenset[int]:
    """The blocks that may keep everything within ``budget`` bytes, chosen of ``free`` from the last backwards.

    Of k kept blocks and n in all, k * kept + (n - k) * entry bytes are held at once. The last blocks are the first
    that the backward pass is done with, so what they kept is gone before the others are computed again.
    """
    spare = budget - blocks * size.entry
    more = max(1, size.kept - size.entry)
    count = min(len(free), max(0, spare // more))
    return frozenset(sorted(free, reverse=True)[:count])


def saved_bytes(run: Callable[[], object], beside: Iterable[Tensor]) -> int:
    """Bytes that autograd keeps for the backward pass of ``run``, each storage once, without those of ``beside``.

    ``beside`` are tensors that lie in memory anyway: weights, tables, masks. Random draws of ``run`` leave no trace.
    """
    known = {tensor.untyped_storage().data_ptr() for tensor in beside}
    found: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()

    # The result is held until the count is done: a storage that is freed may come again under the same address.
    devices = range(torch.cuda.device_count())
    with torch.random.fork_rng(devices), torch.enable_grad(), saved_tensors_hooks(note, lambda tensor: tensor):
        result = run()
    del result
    return sum(found.values())
