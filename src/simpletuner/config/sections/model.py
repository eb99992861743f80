"""Options of the model: which weights, and the type of their arithmetic."""

from __future__ import annotations

from typing import Literal

from simpletuner.config.option import REQUIRED, Section, option, refuse_later


class ModelConfig(Section):
    """Which weights are trained or adapted, and in which type."""

    model_type: Literal["lora", "full"] = option(REQUIRED, reads=("assemble",))
    """What is trained: `lora` an adapter over frozen weights, `full` every weight of the transformer."""
    model_family: Literal["omnigen"] = option(REQUIRED, reads=("models",))
    """The architecture."""
    model_flavour: str | None = option(None, reads=("models",))
    """Which weights of the family; `v1` (the default, from the hub) or `tiny` (bundled) for OmniGen."""
    pretrained_model_name_or_path: str | None = option(None, reads=("models",))
    """A hub id or a folder in diffusers layout to use instead of the flavour's weights."""
    pretrained_model_revision: str | None = option(None, reads=("models",))
    """Branch, tag or commit of those weights on the hub: by default the newest, and that of its checkpoint for a run
    that goes on."""
    mixed_precision: Literal["bf16", "no"] = option(
        "bf16", reads=("models", "training"), refused=refuse_later("fp16", "fp8")
    )
    """Type of the arithmetic: `bf16`, or `no` for float32, which is slower and needs more memory."""
    vae_dtype: Literal["default", "fp32", "fp16", "bf16"] = option("bf16", reads=("models",))
    """Type in which the VAE runs; with `mixed_precision` `no`, and on a CPU, it is float32."""
    vae_enable_tiling: bool = option(default=False, reads=("models",))
    """Encode and decode in tiles: less memory."""
    vae_enable_slicing: bool = option(default=False, reads=("models",))
    """Encode and decode one picture at a time: less memory."""
    keep_vae_loaded: bool = option(default=False, unread="the VAE always stays loaded, validation needs it")
    """Keep the VAE in memory after the latents are cached."""
    pretrained_vae_model_name_or_path: str | None = option(None, unread="the VAE inside the OmniGen weights is used")
    """Another VAE."""
