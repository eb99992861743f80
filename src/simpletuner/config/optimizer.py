"""Options of the weight update and of the averaged weights."""

from __future__ import annotations

from typing import Literal

from simpletuner.config.option import Section, option, refuse_later

_PLANNED = (
    "adamw_schedulefree adamw_schedulefree+aggressive adamw_schedulefree+no_kahan "
    "ao-adamw8bit ao-adamw4bit ao-adamfp8 ao-adamwfp8 "
    "optimi-stableadamw optimi-adamw optimi-lion optimi-radam optimi-ranger optimi-adan optimi-adam optimi-sgd "
    "bnb-adagrad bnb-adagrad8bit bnb-adam bnb-adam8bit bnb-adamw bnb-adamw8bit bnb-adamw-paged bnb-adamw8bit-paged "
    "bnb-lion bnb-lion8bit bnb-lion-paged bnb-lion8bit-paged "
    "bnb-ademamix bnb-ademamix8bit bnb-ademamix-paged bnb-ademamix8bit-paged soap prodigy muon "
    "torch-adam torch-sgd torch-radam torch-nadam torch-rmsprop torch-adagrad torch-adadelta torch-adafactor "
    "torch-adamax torch-asgd torch-sparseadam"
).split()
_RETIRED = {
    "adamw": "is the old name of torch-adamw",
    "adamw8bit": "was retired; bnb-adamw8bit takes its place and is not available in this version",
    "adafactor": "was retired; torch-adafactor takes its place and is not available in this version",
    "dadaptation": "was retired; prodigy takes its place and is not available in this version",
}
_COSINE = {"cosine_with_warmup": "cosine"}


class OptimizerConfig(Section):
    """The optimizer, its learning rate over the run, and gradient clipping."""

    optimizer: Literal["adamw_bf16", "torch-adamw"] = option(
        "adamw_bf16", reads=("training",), refused=refuse_later(*_PLANNED) | _RETIRED
    )
    """How weights are updated: `adamw_bf16` keeps them in bf16 with stochastic rounding, `torch-adamw` in float32."""
    learning_rate: float = option(4e-7, reads=("training",), gt=0)
    """Peak learning rate, after the warm-up. LoKr likes 1e-4 with AdamW."""
    lr_scheduler: Literal[
        "linear", "sine", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup"
    ] = option("constant_with_warmup", reads=("config",), respelled=_COSINE)
    """Shape of the learning rate over the run; `constant` with a warm-up becomes `constant_with_warmup`."""
    lr_warmup_steps: int = option(0, reads=("training",), ge=0)
    """Weight updates over which the rate rises from 0."""
    lr_end: float = option(4e-7, reads=("training",), ge=0)
    """The rate that `polynomial`, `cosine` and `sine` reach at the last step."""
    lr_num_cycles: int = option(1, reads=("training",), ge=1)
    """Cycles of the cosine and sine shapes."""
    lr_power: float = option(0.8, reads=("training",), gt=0)
    """Exponent of `polynomial`."""
    lr_scale: bool = option(default=False, reads=("training",))
    """Multiply the rate by the pictures in one weight update."""
    lr_scale_sqrt: bool = option(default=False, reads=("training",))
    """With `lr_scale`, multiply by the square root instead."""
    max_grad_norm: float = option(2.0, reads=("training",), ge=0)
    """Clipping threshold, its meaning is `grad_clip_method`'s; 0 turns clipping off."""
    grad_clip_method: Literal["value", "norm"] = option("value", reads=("training",))
    """`value` clamps each gradient element to the threshold, `norm` scales the whole gradient to it."""
    optimizer_beta1: float | None = option(None, reads=("training",), ge=0, lt=1)
    """First beta, before `adam_beta1`; give both or none."""
    optimizer_beta2: float | None = option(None, reads=("training",), ge=0, lt=1)
    """Second beta, before `adam_beta2`; give both or none."""
    adam_beta1: float = option(0.9, reads=("training",), ge=0, lt=1)
    """Decay of the gradient's average."""
    adam_beta2: float = option(0.999, reads=("training",), ge=0, lt=1)
    """Decay of the squared gradient's average."""
    adam_weight_decay: float = option(0.01, reads=("training",), ge=0)
    """Decoupled weight decay."""
    adam_epsilon: float | None = option(None, reads=("training",), gt=0)
    """Added to the denominator; not given, 1e-6 for `adamw_bf16` and 1e-8 for `torch-adamw`."""


class EmaConfig(Section):
    """A moving average of the trained weights, kept beside them."""

    use_ema: bool = option(default=False, reads=("training",))
    """Keep an averaged copy of the trained weights: smoother results."""
    ema_decay: float = option(0.995, reads=("training",), ge=0, le=0.9999)
    """Share of the old average that stays; nearer 1 is slower."""
    ema_update_interval: int = option(1, reads=("training",), ge=1)
    """Weight updates between two updates of the average."""
    ema_device: Literal["cpu", "accelerator"] = option("cpu", reads=("training",))
    """Where the average lies."""
    ema_cpu_only: bool = option(default=False, unread="the average is always computed where it lies")
    """With `ema_device` cpu, also compute the average there."""
    ema_foreach_disable: bool = option(default=False, unread="the average is always updated tensor by tensor")
    """Update tensor by tensor, not all at once."""
    ema_warmup_steps: int = option(0, reads=("training",), ge=0)
    """Until this step the average is a plain copy."""
    ema_validation: Literal["none", "ema_only", "comparison"] = option("comparison", reads=("validation",))
    """Which weights draw validation pictures: live ones, averaged ones, or both side by side."""
