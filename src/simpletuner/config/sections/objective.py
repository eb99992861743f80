"""Options of what is minimised: the loss, and what the model is shown."""

from __future__ import annotations

from typing import Literal

from simpletuner.config.option import Section, option

_NOISE_IS_FIXED = "for epsilon models; a flow runs from the picture to plain noise"
_NOT_A_FLOW = "weighs the steps of epsilon and v models; for a flow there is flow_cubic_schedule_weights"


class ObjectiveConfig(Section):
    """The loss of an error, and noise that only the model's input has."""

    loss_type: Literal["l2", "huber", "smooth_l1"] = option("l2", reads=("training",))
    """How much an error counts: its square, or less than that where it is far above `huber_c`."""
    huber_c: float = option(0.1, reads=("training",), gt=0)
    """Errors above this count in a straight line, in `huber` and `smooth_l1`."""
    huber_schedule: Literal["constant", "exponential", "snr"] = option("snr", reads=("training",))
    """`constant`: `huber_c` everywhere; else it is `huber_c` on pure noise and grows to 1 on the picture."""
    masked_loss_probability: float = option(1.0, reads=("training",), ge=0, le=1)
    """Chance that a use of a picture trains with its `segmentation` mask; masks of type `mask` always count."""
    input_perturbation: float = option(0.0, reads=("training",), ge=0)
    """Extra noise that the model is shown and its target does not know of; 0.1 is the paper's."""
    input_perturbation_steps: int = option(0, reads=("training",), ge=0)
    """Weight updates over which `input_perturbation` falls to 0; 0 keeps it."""
    snr_gamma: float | None = option(None, unread=_NOT_A_FLOW, ge=0)
    """Min-SNR weighting."""
    use_soft_min_snr: bool = option(default=False, unread=_NOT_A_FLOW)
    """A softer form of it."""
    soft_min_snr_sigma_data: float | None = option(None, unread=_NOT_A_FLOW)
    """What that form divides by."""
    offset_noise: bool = option(default=False, unread=_NOISE_IS_FIXED)
    """Noise whose mean differs from picture to picture."""
    noise_offset: float = option(0.1, unread=_NOISE_IS_FIXED, ge=0)
    """How much."""
    noise_offset_probability: float = option(0.25, unread=_NOISE_IS_FIXED, ge=0, le=1)
    """How often."""
