"""OmniGen behind the family protocol: the only file that knows its clock runs the other way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from diffusers import OmniGenTransformer2DModel
from torch import Tensor, nn

from simpletuner.core.batch import Prompt, Sizes
from simpletuner.core.linears import LinearShape
from simpletuner.models.execution import Execution
from simpletuner.models.family import Codec, LatentSpec, MemorySaving, PreviewDecoder, TextReader
from simpletuner.models.loading import load_checked, quiet_diffusers
from simpletuner.models.omnigen.codec import load_codec
from simpletuner.models.omnigen.denoiser import OmniGenDenoiser, Running
from simpletuner.models.omnigen.forward import forward
from simpletuner.models.omnigen.layers import FACTS
from simpletuner.models.omnigen.preview import PUBLIC, has_own, load_preview_decoder
from simpletuner.models.omnigen.prompt import collate
from simpletuner.models.omnigen.text import load_text
from simpletuner.models.source import Source

# The table of positions is a formula; the tiny model's file leaves it out because it would be most of the file.
_COMPUTED = frozenset({"patch_embedding.pos_embed"})


class OmniGen:
    """The OmniGen family; see :class:`simpletuner.models.family.ModelFamily`."""

    facts = FACTS
    latents = LatentSpec(channels=4, downsample=8)

    def load_codec(self, source: Source, device: torch.device, dtype: torch.dtype, saving: MemorySaving) -> Codec:
        """The SDXL VAE, with its scaling inside."""
        return load_codec(source, device, dtype, saving)

    def preview_repository(self, source: Source) -> str | None:
        """The public one's, unless the model has its own."""
        return None if has_own(source) else PUBLIC

    def load_preview_decoder(
        self, source: Source, device: torch.device, dtype: torch.dtype, commit: str | None = None
    ) -> PreviewDecoder:
        """The model's own tiny decoder, or the public one of its latent space."""
        return load_preview_decoder(source, device, dtype, commit)

    def load_text(self, source: Source, *, builtin_negative: bool) -> TextReader:
        """The tokenizer."""
        return load_text(source, builtin_negative=builtin_negative)

    def load_denoiser(self, source: Source, dtype: torch.dtype) -> nn.Module:
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

    def as_units(self, denoiser: nn.Module) -> tuple[nn.Module, ...]:
        """The blocks."""
        assert isinstance(denoiser, OmniGenDenoiser)
        assert denoiser.running is not None
        denoiser.running.blocks.through_modules()
        return tuple(denoiser.layers)

    def save_denoiser(
        self, denoiser: nn.Module, folder: Path, dtype: torch.dtype, state: Mapping[str, Tensor] | None = None
    ) -> None:
        """Write ``config.json`` and safetensors in diffusers layout; ``state`` where ``denoiser`` has only a part."""
        assert isinstance(denoiser, OmniGenTransformer2DModel)
        with quiet_diffusers():
            stored = OmniGenTransformer2DModel.from_config(denoiser.config).to(dtype)
        stored.load_state_dict(denoiser.state_dict() if state is None else state)
        stored.save_pretrained(folder)

    def predict_velocity(
        self, denoiser: nn.Module, noisy: Tensor, sigma: Tensor, prompts: Sequence[Prompt], sizes: Sizes | None = None
    ) -> Tensor:
        """Velocity from image to noise, float32. OmniGen's clock runs from noise to image, and so does its answer."""
        assert isinstance(denoiser, OmniGenTransformer2DModel)
        texts = collate(prompts, noisy.device)
        return -forward(denoiser, noisy.to(denoiser.dtype), 1 - sigma, texts, sizes).float()
