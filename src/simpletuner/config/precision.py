"""Options of the number formats of frozen weights."""

from __future__ import annotations

from typing import Literal

from simpletuner.config.option import Section, option, refuse_later

_QUANTISED = (
    "int8-quanto int4-quanto int2-quanto fp8-quanto fp8uz-quanto int8-torchao int4-torchao int8dq-torchao "
    "int8dq-int4-torchao fp8-torchao fp8wo-torchao fp8-int4-torchao fp8-native nf4-bnb fp8-transformerengine"
).split()
_SDNQ = [
    *("int8-sdnq uint8-sdnq int16-sdnq uint16-sdnq fp16-sdnq fp8-sdnq".split()),
    *(f"{sign}int{bits}-sdnq" for bits in range(2, 8) for sign in ("", "u")),
]


class PrecisionConfig(Section):
    """How the frozen weights are held."""

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
