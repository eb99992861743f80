"""What a model family must be able to do. A family is a folder, a protocol kept, and one line in the registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from simpletuner.core.batch import Latents, Prompt, Sizes
from simpletuner.core.linears import LinearShape
from simpletuner.models.execution import Execution
from simpletuner.models.facts import FamilyFacts
from simpletuner.models.source import Source


@dataclass(frozen=True)
class LatentSpec:
    """The latent space: channels, and how many pixels one latent cell covers along an edge."""

    channels: int
    downsample: int


@dataclass(frozen=True)
class MemorySaving:
    """How a codec may trade time for memory: in ``tiling``, or one picture at a time (``slicing``)."""

    tiling: bool = False
    slicing: bool = False


class Codec(Protocol):
    """Pictures to latents and back; latents are scaled to about unit variance."""

    def fingerprint(self) -> str:
        """Names weights and scaling; part of every latent cache key."""
        ...

    def threads(self) -> int:
        """Threads of the CPU that batches may be encoded in at the same time; 1 on a card."""
        ...

    def encode(self, pixels: Tensor) -> Latents:
        """The posterior, (B, C, h, w), of pixels (B, 3, H, W) in [-1, 1]."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Pixels (B, 3, H, W) float32 in [-1, 1] on the CPU, of latents (B, C, h, w)."""
        ...


class PreviewDecoder(Protocol):
    """Latents to pictures, quickly and roughly, while they are being sampled."""

    def decode(self, latents: Tensor) -> Tensor:
        """Pixels (B, 3, H, W) float32 in [-1, 1] on the CPU, of latents (B, C, h, w) as a codec gives them."""
        ...


class TextReader(Protocol):
    """Prompts to token ids."""

    def fingerprint(self) -> str:
        """Names the vocabulary and the template; part of every token cache key."""
        ...

    def tokenize(self, prompt: str, pictures: int = 0) -> Tensor:
        """Ids (L,) int64 of one prompt; -k stands for the k-th of its input ``pictures``.

        Pictures that the prompt does not name stand before its words. Raises DataError when it names others, or only
        some of them.
        """
        ...

    def pictures_alone(self, pictures: int) -> Tensor:
        """Ids of the prompt of ``pictures`` and no words, from which guidance by pictures starts."""
        ...

    def unconditional(self) -> Tensor:
        """Ids of the prompt that a dropped caption becomes in training."""
        ...

    def negative(self, prompt: str | None) -> tuple[str, Tensor]:
        """What sampling guides away from, as text and ids; None asks for the flavour's own."""
        ...


class ModelFamily(Protocol):
    """One model, from weights to velocity. ``source`` is a folder in diffusers layout, a hub id, or a commit of one."""

    facts: FamilyFacts
    latents: LatentSpec

    def load_codec(self, source: Source, device: torch.device, dtype: torch.dtype, saving: MemorySaving) -> Codec:
        """The VAE, with its scaling inside."""
        ...

    def preview_repository(self, source: Source) -> str | None:
        """The repository of the hub that has the decoder of previews for the model ``source``; None: its own folder."""
        ...

    def load_preview_decoder(
        self, source: Source, device: torch.device, dtype: torch.dtype, commit: str | None = None
    ) -> PreviewDecoder:
        """The small decoder of previews for the model ``source``; ``commit`` is that of a repository beside it.

        Raises ConfigError when it cannot be had.
        """
        ...

    def load_text(self, source: Source, *, builtin_negative: bool) -> TextReader:
        """The tokenizer; OmniGen has no text encoder."""
        ...

    def load_denoiser(self, source: Source, dtype: torch.dtype) -> nn.Module:
        """The transformer on the CPU, in evaluation mode, with gradients off."""
        ...

    def linears(self, denoiser: nn.Module) -> tuple[LinearShape, ...]:
        """The adaptable layers of a loaded denoiser."""
        ...

    def configure(self, denoiser: nn.Module, execution: Execution) -> None:
        """Say how the blocks run, before the denoiser moves to its device; its frozen tensors are final by then.

        Raises ConfigError when the denoiser cannot run so.
        """
        ...

    def as_units(self, denoiser: nn.Module) -> tuple[nn.Module, ...]:
        """The parts of a configured denoiser that may take turns being whole; from here on each is run by a call."""
        ...

    def save_denoiser(
        self, denoiser: nn.Module, folder: Path, dtype: torch.dtype, state: Mapping[str, Tensor] | None = None
    ) -> None:
        """Write the weights in diffusers layout into ``folder``.

        ``state`` are all weights by name, where ``denoiser`` holds only a part of each.
        """
        ...

    def predict_velocity(
        self, denoiser: nn.Module, noisy: Tensor, sigma: Tensor, prompts: Sequence[Prompt], sizes: Sizes | None = None
    ) -> Tensor:
        """Velocity (B, C, H, W), image to noise, of ``noisy`` (B, C, H, W) at ``sigma`` (B,).

        With ``sizes``, each row is what it would be alone at its own (h, w), and 0 in its padding.
        """
        ...
