"""The frozen tensors of one block in host memory, and what copies them to a device beside the computation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from simpletuner.core.errors import ConfigError

# CUDA's own allocations begin at multiples of this many bytes, and kernels may count on it.
_ALIGNMENT = 256


@dataclass(frozen=True)
class _Place:
    """A frozen tensor, where modules hold it, and from which byte of the flat copy it lies."""

    tensor: Tensor
    holders: tuple[tuple[dict[str, Any], str], ...]
    start: int

    def view(self, flat: Tensor) -> Tensor:
        """The tensor's values in ``flat``, with its own type, shape and order of elements."""
        values = flat[self.start : self.start + self.tensor.nbytes].view(self.tensor.dtype)
        # Strides of a tensor laid out like this one, without gaps.
        strides = torch.empty_like(self.tensor, device="meta").stride()
        return values.as_strided(self.tensor.shape, strides)


class HostBlock:
    """The frozen tensors of a block: one flat copy in host memory, so that one copy operation moves them all."""

    def __init__(self, block: nn.Module) -> None:
        """The tensors of ``block`` that need no gradient move now; what they held before is free."""
        self._places = tuple(_places(block))
        size = max((place.start + place.tensor.nbytes for place in self._places), default=0)
        self.flat = torch.empty(size, dtype=torch.uint8, pin_memory=torch.cuda.is_available())
        self._at_home = [place.view(self.flat) for place in self._places]
        for place, home in zip(self._places, self._at_home, strict=True):
            home.copy_(place.tensor.detach())
        self.hide()

    @property
    def nbytes(self) -> int:
        """Bytes of the flat copy."""
        return self.flat.nbytes

    def show(self, flat: Tensor) -> None:
        """Let the block read from ``flat``, a copy on a device (it may be longer)."""
        for place in self._places:
            place.tensor.data = place.view(flat)

    def hide(self) -> None:
        """Let the block read from host memory."""
        for place, home in zip(self._places, self._at_home, strict=True):
            place.tensor.data = home

    def detach(self) -> None:
        """Take the tensors out of their modules."""
        for place in self._places:
            for names, name in place.holders:
                names[name] = None

    def attach(self) -> None:
        """Put the tensors back into their modules."""
        for place in self._places:
            for names, name in place.holders:
                names[name] = place.tensor


def _places(block: nn.Module) -> Iterator[_Place]:
    holders: dict[int, list[tuple[dict[str, Any], str]]] = {}
    tensors: dict[int, Tensor] = {}
    for names, name, tensor in _frozen(block):
        holders.setdefault(id(tensor), []).append((names, name))
        tensors[id(tensor)] = tensor
    start = 0
    for key, tensor in tensors.items():
        yield _Place(tensor, tuple(holders[key]), start)
        start += -(-tensor.nbytes // _ALIGNMENT) * _ALIGNMENT


def _frozen(block: nn.Module) -> Iterator[tuple[dict[str, Any], str, Tensor]]:
    for names in (names for module in block.modules() for names in _held(module)):
        for name, tensor in names.items():
            if tensor is not None and not tensor.requires_grad and tensor.numel():
                _require_plain(tensor, name)
                yield names, name, tensor


def _held(module: nn.Module) -> tuple[dict[str, Any], dict[str, Any]]:
    # torch has no other door to where a module holds its tensors.
    return module._parameters, module._buffers  # noqa: SLF001


def _require_plain(tensor: Tensor, name: str) -> None:
    if type(tensor) not in (Tensor, Parameter):
        reason = f"'{name}' is a {type(tensor).__name__}, whose bytes are not its own to move"
        raise ConfigError(
            reason, key="musubi_blocks_to_swap", cure="choose another base_model_precision, or set it to 0"
        )


class Copier(Protocol):
    """Copies flat blocks into slots."""

    def start(self, slot: int, host: Tensor, device: Tensor) -> None:
        """Begin to copy ``host`` (n,) to the front of ``device`` once all that is queued now is done with it."""
        ...

    def wait(self, slot: int) -> None:
        """What is queued from now on finds the copy into ``slot`` complete."""
        ...


class PlainCopier:
    """Copies at once, for devices that have no streams."""

    def start(self, slot: int, host: Tensor, device: Tensor) -> None:
        """See :class:`Copier`."""
        del slot
        device[: len(host)].copy_(host)

    def wait(self, slot: int) -> None:
        """See :class:`Copier`."""


class StreamCopier:
    """Copies on a CUDA stream of its own, beside the computation."""

    def __init__(self, device: torch.device) -> None:
        """``device`` is where the slots are."""
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._arrivals: dict[int, torch.cuda.Event] = {}

    def start(self, slot: int, host: Tensor, device: Tensor) -> None:
        """See :class:`Copier`."""
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            device[: len(host)].copy_(host, non_blocking=True)
            self._arrivals[slot] = self._stream.record_event()

    def wait(self, slot: int) -> None:
        """See :class:`Copier`."""
        torch.cuda.current_stream(self._device).wait_event(self._arrivals[slot])


def copier_for(device: torch.device) -> Copier:
    """What copies to ``device``."""
    return StreamCopier(device) if device.type == "cuda" else PlainCopier()
