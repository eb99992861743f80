"""What follows from the number format of frozen weights together with other options."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from simpletuner.config.reading.fill import Source
from simpletuner.config.run import RunConfig
from simpletuner.core.errors import ConfigError

ROUNDS_INPUTS = frozenset({"int8dq-torchao", "int8dq-int4-torchao", "fp8-torchao", "fp8-native"})
# What diffusers 0.42 has a loader for; its quanto loader knows one float8, its torchao loader no format of torch's own.
_IN_DIFFUSERS = frozenset(
    "int8-quanto int4-quanto int2-quanto fp8-quanto int8-torchao int4-torchao int8dq-torchao int8dq-int4-torchao "
    "fp8-torchao fp8wo-torchao nf4-bnb".split()
)
_WITH_ROUNDED_INPUTS = (("fp8", "fp8-torchao"), ("int8", "int8dq-torchao"), ("", "int8dq-int4-torchao"))


def precision_problems(config: RunConfig, source: Source) -> Iterator[ConfigError]:
    """Contradictions about the number format."""
    frozen = config.precision
    preset = frozen.base_model_precision
    if preset != "no_change" and config.model.model_type == "full":
        reason = f"{preset} freezes the weights, and model_type full trains them"
        yield source.problem("base_model_precision", reason, "set it to no_change, or train an adapter")
    if preset != "no_change" and frozen.quantize_via == "pipeline" and preset not in _IN_DIFFUSERS:
        yield source.problem("quantize_via", f"diffusers cannot load {preset}", 'set "quantize_via": "cpu"')
    if frozen.quantize_activations and preset not in ROUNDS_INPUTS:
        yield source.problem(
            "quantize_activations", f"{preset} keeps the inputs of layers as they are", _sibling(preset)
        )


def _sibling(preset: str) -> str:
    name = next(sibling for start, sibling in _WITH_ROUNDED_INPUTS if preset.startswith(start))
    return "remove it" if preset == "no_change" else f'remove it, or set "base_model_precision": "{name}"'


def precision_notices(config: RunConfig, given: Collection[str]) -> Iterator[str]:
    """What the user should know about the number format; ``given`` are the options they set."""
    frozen = config.precision
    if config.model.vae_dtype == "fp16" and config.model.mixed_precision != "no":
        yield "vae_dtype fp16: SDXL's VAE overflows with some pictures, which are left out and named; bf16 does not"
    if frozen.base_model_precision == "no_change":
        if "quantize_via" in given:
            yield "not read: quantize_via (nothing is quantised with base_model_precision no_change)"
    elif frozen.quantize_via == "pipeline":
        yield "quantize_via pipeline is done as cpu: the same library and format, one layer at a time after loading"
