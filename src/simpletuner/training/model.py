"""What is trained: a denoiser and, over it, perhaps an adapter, as one module."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from simpletuner.adapters.base import Adapter
from simpletuner.core.batch import Prompt, Sizes
from simpletuner.models.family import ModelFamily


class TrainedModel(nn.Module):
    """Denoiser and adapter in one module: an adapter keeps its parameters outside the model it patches, and two
    modules prepared apart drift apart under data parallelism.
    """

    def __init__(
        self,
        family: ModelFamily,
        denoiser: nn.Module,
        adapter: Adapter | None,
        autocast: torch.dtype | None = None,
    ) -> None:
        """``adapter`` None trains all weights of the denoiser; ``autocast`` computes in less than the weights' type."""
        super().__init__()
        self.autocast = autocast
        self.family = family
        self.denoiser = denoiser
        self.adapter = adapter

    def forward(self, noisy: Tensor, sigma: Tensor, prompts: Sequence[Prompt], sizes: Sizes | None = None) -> Tensor:
        """Velocity (B, C, H, W), image to noise, at ``noisy`` (B, C, H, W) and ``sigma`` (B,)."""
        if self.adapter is not None:
            self.adapter.before_pass(sigma)
        with torch.autocast(noisy.device.type, dtype=self.autocast, enabled=self.autocast is not None):
            return self.family.predict_velocity(self.denoiser, noisy, sigma, prompts, sizes)

    def trainable(self) -> dict[str, Parameter]:
        """The parameters that an update changes, by name, in a fixed order."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}

    @contextmanager
    def strength(self, multiplier: float) -> Iterator[None]:
        """Scale the adapter inside the block; without an adapter there is nothing to scale."""
        if self.adapter is None:
            yield
            return
        with self.adapter.strength(multiplier):
            yield
