"""What every adapter can do, whichever library made it."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from simpletuner.core.errors import DataError


class Adapter(nn.Module, ABC):
    """A small trainable part laid over a denoiser whose own weights stay frozen. Its parameters are its own."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """Public names to tensors, as other programs read them."""

    @abstractmethod
    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the values of ``tensors``; the names and shapes must be exactly this adapter's. Raises DataError."""

    @abstractmethod
    def parameters_by_path(self) -> dict[str, int]:
        """The dotted path of each adapted layer to its number of trainable values."""

    @property
    @abstractmethod
    def multiplier(self) -> float:
        """The strength that the adapter has now."""

    @abstractmethod
    def turn_to(self, multiplier: float) -> None:
        """Give the adapter another strength; 0 is the base model, to the bit."""

    @contextmanager
    def strength(self, multiplier: float) -> Iterator[None]:
        """Scale the adapter's effect inside the block; 0 is the base model. The former strength comes back."""
        former = self.multiplier
        self.turn_to(multiplier)
        try:
            yield
        finally:
            self.turn_to(former)

    def metadata(self) -> dict[str, str]:
        """What the adapter file says of itself beside what the run says of it; all values are text."""
        return {}

    def narrow(self, dtype: torch.dtype) -> None:
        """Keep the trained values in ``dtype``."""
        for parameter in self.parameters():
            parameter.data = parameter.data.to(dtype)

    def private_tensors(self) -> dict[str, Tensor]:
        """What a resume needs beside :meth:`tensors`; empty where the public file holds everything."""
        return {}

    def load_private(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back what :meth:`private_tensors` gave; called after :meth:`load_tensors`."""
        if tensors:
            raise DataError("holds state that this adapter does not have", cure="start fresh with --fresh")

    def before_pass(self, sigma: Tensor) -> None:
        """Told the share of noise (B,) before each forward pass; most adapters do not care."""
        del sigma


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """Names an adapter by its values, whatever its file says beside them: SHA-256 of names, formats and bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        flat = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(flat.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def require_fit(own: Mapping[str, Tensor], given: Mapping[str, Tensor], settings: str) -> None:
    """Refuse tensors ``given`` by a file that are not the adapter's ``own`` by name and shape. Raises DataError.

    ``settings`` names what shapes such an adapter, for the cure.
    """
    if problem := difference(own, given):
        raise DataError(
            f"the adapter file does not fit this adapter: {problem}",
            cure=f"use the {settings} it was trained with, or start fresh with --fresh",
        )


def difference(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """In words, the first way in which ``given`` does not fit ``own`` by name and shape; empty when it fits."""
    if missing := sorted(set(own) - set(given)):
        return f"{len(missing)} tensors are missing, the first is {missing[0]}"
    if unexpected := sorted(set(given) - set(own)):
        return f"{len(unexpected)} tensors are not its own, the first is {unexpected[0]}"
    wrong = [name for name in own if own[name].shape != given[name].shape]
    return f"{wrong[0]} has shape {tuple(given[wrong[0]].shape)}, not {tuple(own[wrong[0]].shape)}" if wrong else ""
