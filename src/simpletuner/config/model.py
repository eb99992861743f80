"""Options of the model and of the adapter laid over it."""

from __future__ import annotations

from typing import Literal

from simpletuner.config.option import LATER, REQUIRED, Section, option, refuse_later

_QUANTISED = (
    "int8-quanto int4-quanto int2-quanto fp8-quanto fp8uz-quanto int8-torchao int4-torchao int8dq-torchao "
    "int8dq-int4-torchao fp8-torchao fp8wo-torchao fp8-int4-torchao fp8-native nf4-bnb fp8-transformerengine"
).split()
_SDNQ = [
    *("int8-sdnq uint8-sdnq int16-sdnq uint16-sdnq fp16-sdnq fp8-sdnq".split()),
    *(f"{sign}int{bits}-sdnq" for bits in range(2, 8) for sign in ("", "u")),
]


class ModelConfig(Section):
    """Which weights are trained or adapted, and in which precision."""

    model_type: Literal["lora", "full"] = option(REQUIRED, reads=("assemble",))
    """What is trained: `lora` an adapter over frozen weights, `full` every weight of the transformer."""
    model_family: Literal["omnigen"] = option(REQUIRED, reads=("models",))
    """The architecture."""
    model_flavour: str | None = option(None, reads=("models",))
    """Which weights of the family; `v1` (the default, from the hub) or `tiny` (bundled) for OmniGen."""
    pretrained_model_name_or_path: str | None = option(None, reads=("models",))
    """A hub id or a folder in diffusers layout to use instead of the flavour's weights."""
    base_model_precision: Literal["no_change"] = option(
        "no_change",
        reads=("config",),
        refused=refuse_later(*_QUANTISED) | dict.fromkeys(_SDNQ, "is GPL-3.0 code and is not supported"),
    )
    """How the frozen base weights are quantised; `no_change` leaves them as they are."""
    base_model_default_dtype: Literal["bf16", "fp32"] = option("bf16", reads=("models", "training"))
    """Type of the weights that are not quantised, when mixed precision is on."""
    quantize_via: Literal["cpu", "accelerator", "pipeline"] = option(
        "accelerator", unread="nothing is quantised with base_model_precision no_change"
    )
    """Where quantisation is done."""
    mixed_precision: Literal["bf16", "no"] = option(
        "bf16", reads=("models", "training"), refused=refuse_later("fp16", "fp8")
    )
    """Type of the arithmetic: `bf16`, or `no` for float32, which is slower and needs more memory."""
    gradient_checkpointing: bool = option(default=True, reads=("models",))
    """Compute activations again in the backward pass: much less memory, slower."""
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


class AdapterConfig(Section):
    """What is laid over the frozen model."""

    lora_type: Literal["lycoris"] = option(
        "lycoris", reads=("config",), refused={"standard": f"{LATER} (standard LoRA through PEFT)"}
    )
    """The adapter library: `lycoris` reads `lycoris_config`."""
    lycoris_config: str = option("config/lycoris_config.json", reads=("config",))
    """The LyCORIS file; a relative path is looked up beside the configuration first, then in the current folder."""
