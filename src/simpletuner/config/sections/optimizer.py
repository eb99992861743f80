"""Options of the weight update and of the averaged weights."""

from __future__ import annotations

from typing import Annotated, Literal

from simpletuner.config.lenient import OBJECT_TOO
from simpletuner.config.optimizers.names import CLIPS_ITSELF, REFUSED, OptimizerName
from simpletuner.config.option import Section, option

_COSINE = {"cosine_with_warmup": "cosine"}


class OptimizerConfig(Section):
    """The optimizer, its learning rate over the run, and gradient clipping."""

    optimizer: OptimizerName = option("adamw_bf16", reads=("training",), refused=REFUSED)
    """How weights are updated. `adamw_bf16` keeps them in bf16 with stochastic rounding, the others in float32;
    `bnb-lion8bit-paged` keeps least beside them. `adamw_schedulefree` needs no `lr_scheduler`; with `+aggressive` its
    average leans on later weights. All but `adamw_bf16` and `torch-` need the extra `optimizers`."""
    optimizer_config: Annotated[str, OBJECT_TOO] | None = option(
        None, reads=("config",), examples=["d_coef=0.5,safeguard_warmup=true"]
    )
    """Further settings of the optimizer under the names its library gives them: `key=value` between commas, or a
    JSON object."""
    learning_rate: float = option(4e-7, reads=("training",), gt=0)
    """Peak learning rate, after the warm-up. LoKr likes 1e-4 with AdamW and 2e-5 with Lion; prodigy likes 1."""
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
    max_grad_norm: float = option(2.0, reads=("config",), ge=0)
    """Clipping threshold, its meaning is `grad_clip_method`'s; 0 turns clipping off."""
    skip_non_finite_updates: int = option(0, reads=("training",), ge=0)
    """Weight updates of a run that may be left out because loss or gradient is not finite, or because they spoiled the
    weights, which go back to the newest checkpoint. 0 ends the run at the first."""
    grad_clip_method: Literal["value", "norm"] = option("value", reads=("training",))
    """`value` clamps each gradient element to the threshold, `norm` scales the whole gradient to it."""
    gradient_precision: Literal["unmodified", "fp32"] = option("unmodified", reads=("training",))
    """Type in which the gradients of several micro-batches are added up: the weights' (`unmodified`), or `fp32` for
    bf16 weights too, which costs two bytes a trained value."""
    optimizer_release_gradients: bool = option(
        default=False,
        unread="gradients are kept until the update, so that one that is not finite reaches no weight",
        refused={"true": "would change weights before it is known that every gradient is finite"},
    )
    """Free each gradient as soon as it is applied, in the backward pass."""
    optimizer_beta1: float | None = option(None, reads=("config",), ge=0, lt=1)
    """First beta, before `optimizer_config` and `adam_beta1`; give both or none."""
    optimizer_beta2: float | None = option(None, reads=("config",), ge=0, lt=1)
    """Second beta, before `optimizer_config` and `adam_beta2`; give both or none."""
    adam_beta1: float = option(0.9, reads=("config",), ge=0, lt=1)
    """Decay of the gradient's average. An optimizer with betas of its own, such as Lion or SOAP, keeps them unless
    this or `adam_beta2` is given."""
    adam_beta2: float = option(0.999, reads=("config",), ge=0, lt=1)
    """Decay of the squared gradient's average."""
    adam_weight_decay: float | None = option(None, reads=("config",), ge=0)
    """Weight decay; not given, the optimizer's own: 0.01 for AdamW in all its forms, none for most others."""
    adam_epsilon: float | None = option(None, reads=("config",), gt=0)
    """Added to the denominator; not given, the optimizer's own: 1e-6 for `adamw_bf16`, 1e-8 for most others."""


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
    ema_cpu_only: bool = option(default=False, reads=("training",))
    """With `ema_device` cpu, also compute the average there; else it visits the accelerator for each update."""
    ema_foreach_disable: bool = option(default=False, reads=("training",))
    """Update tensor by tensor, not many at once: slower, with less memory beside."""
    ema_warmup_steps: int = option(0, reads=("training",), ge=0)
    """Until this step the average is a plain copy."""
    ema_validation: Literal["none", "ema_only", "comparison"] = option("comparison", reads=("validation",))
    """Which weights draw validation pictures: live ones, averaged ones, or both side by side."""


def clipping_threshold(config: OptimizerConfig) -> float:
    """``max_grad_norm``, or 0 (no clipping) for an optimizer whose gradients are left alone (SPEC 9.4)."""
    return 0.0 if config.optimizer in CLIPS_ITSELF else config.max_grad_norm
