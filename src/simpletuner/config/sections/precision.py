"""Options of the number formats of frozen weights."""

from __future__ import annotations

from typing import Literal

from simpletuner.config.option import Section, option

_SDNQ = [
    *("int8-sdnq uint8-sdnq int16-sdnq uint16-sdnq fp16-sdnq fp8-sdnq".split()),
    *(f"{sign}int{bits}-sdnq" for bits in range(2, 8) for sign in ("", "u")),
]
_REFUSED = {
    "fp8-int4-torchao": "needs a kernel of the package mslk, which PyPI has no release of: int4-torchao, "
    "int8dq-int4-torchao and fp8-torchao are near it",
    "fp8-transformerengine": "needs the package transformer_engine, which this version does not use: fp8-torchao and "
    "fp8-native use the same units of the card",
    **dict.fromkeys(_SDNQ, "is GPL-3.0 code and is not supported"),
}


class PrecisionConfig(Section):
    """How the frozen weights are held."""

    base_model_precision: Literal[
        "no_change",
        "int8-quanto",
        "int4-quanto",
        "int2-quanto",
        "fp8-quanto",
        "fp8uz-quanto",
        "int8-torchao",
        "int4-torchao",
        "int8dq-torchao",
        "int8dq-int4-torchao",
        "fp8-torchao",
        "fp8wo-torchao",
        "fp8-native",
        "nf4-bnb",
    ] = option("no_change", reads=("precision",), refused=_REFUSED)
    """How the frozen linears of the blocks are quantised; `no_change` leaves them as they are."""
    base_model_default_dtype: Literal["bf16", "fp32"] = option("bf16", reads=("models", "training"))
    """Type of the weights that are not quantised, when mixed precision is on."""
    quantize_via: Literal["cpu", "accelerator", "pipeline"] = option("accelerator", reads=("precision",))
    """Where quantisation is done: `cpu` needs least memory on the card, `accelerator` is faster."""
    quantize_activations: bool = option(default=False, reads=("config",))
    """Ask for a format that also rounds the inputs of layers (`int8dq-torchao`, `fp8-torchao` ...)."""
