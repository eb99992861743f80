"""What every adapter can do, whichever library made it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager

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

    @abstractmethod
    def strength(self, multiplier: float) -> AbstractContextManager[None]:
        """Scale the adapter's effect inside the block; 0 is the base model. The former strength comes back."""

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


def difference(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """In words, the first way in which ``given`` does not fit ``own`` by name and shape; empty when it fits."""
    if missing := sorted(set(own) - set(given)):
        return f"{len(missing)} tensors are missing, the first is {missing[0]}"
    if unexpected := sorted(set(given) - set(own)):
        return f"{len(unexpected)} tensors are not its own, the first is {unexpected[0]}"
    wrong = [name for name in own if own[name].shape != given[name].shape]
    return f"{wrong[0]} has shape {tuple(given[wrong[0]].shape)}, not {tuple(own[wrong[0]].shape)}" if wrong else ""
