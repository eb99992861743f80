"""Options of scheduled sampling: pictures that are trained as the model itself would have drawn them."""

from __future__ import annotations

from typing import Literal

from simpletuner.config.option import Section, option

_EULER = "a roll-out takes the Euler steps that validation and `simpletuner generate` take"


class RolloutConfig(Section):
    """Some pictures start noisier and are denoised by the model before it is trained on them (exposure bias)."""

    scheduled_sampling_max_step_offset: int = option(0, reads=("training",), ge=0)
    """Longest roll-out, in forward passes; 0 switches it off, 5 to 10 are usual."""
    scheduled_sampling_probability: float = option(0.0, reads=("training",), ge=0, le=1)
    """Chance that a use of a picture is rolled out; a ramp takes its place."""
    scheduled_sampling_strategy: Literal["uniform", "biased_early", "biased_late"] = option(
        "uniform", reads=("training",)
    )
    """Lengths of the roll-outs: all alike (0 among them), more short ones, more long ones."""
    scheduled_sampling_timesteps: int = option(1000, reads=("training",), ge=1)
    """Into how many steps the way from noise to picture is divided: 1000 makes a roll-out of 10 a hundredth of it, the
    number of sampling steps makes it take the sampler's own."""
    scheduled_sampling_ramp_steps: int = option(0, reads=("training",), ge=0)
    """Weight updates of the ramp; 0 is no ramp."""
    scheduled_sampling_start_step: int = option(0, reads=("training",), ge=0)
    """Weight updates before the ramp."""
    scheduled_sampling_prob_start: float = option(0.0, reads=("training",), ge=0, le=1)
    """The chance up to the ramp."""
    scheduled_sampling_prob_end: float = option(0.5, reads=("training",), ge=0, le=1)
    """The chance after the ramp."""
    scheduled_sampling_ramp_shape: Literal["linear", "cosine"] = option("linear", reads=("training",))
    """How it rises between them."""
    scheduled_sampling_reflexflow: bool | None = option(None, reads=("training",))
    """Train what is rolled out with the terms of ReflexFlow; not given, they are on."""
    scheduled_sampling_reflexflow_alpha: float = option(1.0, reads=("training",), ge=0)
    """How much more the cells count in which a roll-out lost something; 0 switches that off."""
    scheduled_sampling_reflexflow_beta1: float = option(10.0, reads=("training",), ge=0)
    """Weight of the anti-drift term: from where the model came, the picture lies back along this direction."""
    scheduled_sampling_reflexflow_beta2: float = option(1.0, reads=("training",), ge=0)
    """Weight of the usual loss beside it."""
    scheduled_sampling_sampler: Literal["unipc", "euler", "dpm"] = option("unipc", unread=_EULER)
    """The solver of the roll-out."""
    scheduled_sampling_order: int = option(2, unread=_EULER, ge=1)
    """Its order."""
