"""OmniGen behind the family protocol: the only file that knows its clock runs the other way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import OmniGenTransformer2DModel
from torch import Tensor, nn

from simpletuner.core.batch import Sizes
from simpletuner.core.linears import LinearShape
from simpletuner.models.execution import Execution
from simpletuner.models.family import Codec, LatentSpec, MemorySaving, TextReader
from simpletuner.models.loading import load_checked, quiet_diffusers
from simpletuner.models.omnigen.codec import load_codec
from simpletuner.models.omnigen.denoiser import OmniGenDenoiser, Running
from simpletuner.models.omnigen.forward import forward
from simpletuner.models.omnigen.layers import FACTS
from simpletuner.models.omnigen.prompt import Prompt, collate
from simpletuner.models.omnigen.text import load_text

# The table of positions is a formula; the tiny model's file leaves it out because it would be most of the file.
_COMPUTED = frozenset({"patch_embedding.pos_embed"})


class OmniGen:
    """The OmniGen family; see :class:`simpletuner.models.family.ModelFamily`."""

    facts = FACTS
    latents = LatentSpec(channels=4, downsample=8)

    def load_codec(self, source: str | Path, device: torch.device, dtype: torch.dtype, saving: MemorySaving) -> Codec:
        """The SDXL VAE, with its scaling inside."""
        return load_codec(source, device, dtype, saving)

    def load_text(self, source: str | Path, *, builtin_negative: bool) -> TextReader:
        """The tokenizer."""
        return load_text(source, builtin_negative=builtin_negative)

    def load_denoiser(self, source: str | Path, dtype: torch.dtype) -> nn.Module:
        """The transformer, frozen, on the CPU."""
        model = load_checked(OmniGenDenoiser, source, "transformer", dtype, _COMPUTED)
        frozen: nn.Module = model.eval().requires_grad_(requires_grad=False)
        return frozen

    def linears(self, denoiser: nn.Module) -> tuple[LinearShape, ...]:
        """The six linears of every block."""
        assert isinstance(denoiser, OmniGenTransformer2DModel)
        return FACTS.linear_shapes(denoiser.config)

    def configure(self, denoiser: nn.Module, execution: Execution) -> None:
        """Say how the blocks run; :func:`forward` heeds it."""
        assert isinstance(denoiser, OmniGenDenoiser)
        denoiser.running = Running(denoiser, execution)

    def save_denoiser(self, denoiser: nn.Module, folder: Path, dtype: torch.dtype) -> None:
        """Write ``config.json`` and safetensors in diffusers layout."""
        assert isinstance(denoiser, OmniGenTransformer2DModel)
        with quiet_diffusers():
            stored = OmniGenTransformer2DModel.from_config(denoiser.config).to(dtype)
        stored.load_state_dict(denoiser.state_dict())
        stored.save_pretrained(folder)

    def predict_velocity(
        self, denoiser: nn.Module, noisy: Tensor, sigma: Tensor, prompts: Sequence[Prompt], sizes: Sizes | None = None
    ) -> Tensor:
        """Velocity from image to noise, float32. OmniGen's clock runs from noise to image, and so does its answer."""
        assert isinstance(denoiser, OmniGenTransformer2DModel)
        texts = collate(prompts, noisy.device)
        return -forward(denoiser, noisy.to(denoiser.dtype), 1 - sigma, texts, sizes).float()
