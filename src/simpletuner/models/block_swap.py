"""Blocks whose frozen weights live in host memory and visit the device while they are used, musubi-tuner's way.

Of n blocks, N + 2 take turns in two slots on the device: the one in use and the one on its way. So the device holds the
weights of n - N blocks, and each pass copies N blocks: a backward pass begins where the forward pass ended. Copies run
beside the computation. Trainable tensors never move.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum

import torch
from torch import Tensor, nn

from simpletuner.models.host_copy import Copier, HostBlock, copier_for
from simpletuner.models.rotation import SLOTS, rotating


class Way(Enum):
    """In which order blocks are visited: forward once, backward once, or forward again and again (sampling)."""

    FORWARD = "forward"
    BACKWARD = "backward"
    ROUND = "round"


def wanted(order: Sequence[int], index: int, way: Way) -> tuple[int, ...]:
    """Which of the rotating blocks, in ascending ``order``, should be on the device while block ``index`` runs.

    At most two, the one that is needed first before the other.
    """
    if way is Way.BACKWARD:
        return tuple(block for block in reversed(order) if block <= index)[:SLOTS]
    coming = tuple(block for block in order if block >= index)
    return (coming if way is Way.FORWARD else (*coming, *order))[:SLOTS]


class BlockSwap:
    """Keeps the rotating blocks of a model where they are needed."""

    def __init__(self, blocks: Sequence[nn.Module], swapped: int) -> None:
        """The frozen tensors of the rotating blocks move to host memory now, pinned where there is CUDA.

        Call it before the model moves to its device. Raises ConfigError when ``swapped`` is too many.
        """
        self.order = rotating(len(blocks), swapped)
        self._homes = {index: HostBlock(blocks[index]) for index in self.order}
        self._slots: list[Tensor] = []
        self._held: dict[int, int] = {}
        self._copier: Copier | None = None

    @property
    def resident(self) -> frozenset[int]:
        """The rotating blocks that are on the device, or on their way to it."""
        return frozenset(self._held)

    @property
    def host_bytes(self) -> int:
        """Bytes of host memory that all rotating blocks take."""
        return sum(home.nbytes for home in self._homes.values())

    @property
    def slot_bytes(self) -> int:
        """Bytes of one slot on the device."""
        return max(home.nbytes for home in self._homes.values())

    def visit(self, index: int, device: torch.device, way: Way) -> None:
        """Called before block ``index`` runs on ``device``: its weights are there, and the next are on their way.

        Whatever ran before must be queued on the current stream by now.
        """
        copier = self._ready(device)
        coming = wanted(self.order, index, way)
        for block in coming:
            if block not in self._held:
                self._fetch(block, coming, copier)
        if index in self._held:
            slot = self._held[index]
            copier.wait(slot)
            self._homes[index].show(self._slots[slot])

    def _fetch(self, block: int, coming: Sequence[int], copier: Copier) -> None:
        taken = {slot for held, slot in self._held.items() if held in coming}
        slot = next(slot for slot in range(SLOTS) if slot not in taken)
        for held in [held for held, place in self._held.items() if place == slot]:
            self._homes[held].hide()
            del self._held[held]
        self._held[block] = slot
        copier.start(slot, self._homes[block].flat, self._slots[slot])

    def _ready(self, device: torch.device) -> Copier:
        if self._copier is None or self._slots[0].device != device:
            self.empty()
            self._slots = [torch.empty(self.slot_bytes, dtype=torch.uint8, device=device) for _ in range(SLOTS)]
            self._copier = copier_for(device)
        return self._copier

    def empty(self) -> None:
        """Give the device's memory back; every weight is in host memory again."""
        for held, slot in self._held.items():
            if self._copier is not None:
                self._copier.wait(slot)
            self._homes[held].hide()
        self._held.clear()
        self._slots.clear()
        self._copier = None

    @contextmanager
    def away(self) -> Iterator[None]:
        """Inside the block the model has no rotating tensors, so that a move to another device leaves them alone."""
        self.empty()
        for home in self._homes.values():
            home.detach()
        try:
            yield
        finally:
            for home in self._homes.values():
                home.attach()
