"""The one thing that an objective asks of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from simpletuner.core.batch import Prompt, Sizes

Predict = Callable[[Tensor, Tensor, Sequence[Prompt], Sizes | None], Tensor]
"""``(noisy (B, C, H, W), sigma (B,), prompts, sizes) -> velocity (B, C, H, W)``, from image to noise."""
