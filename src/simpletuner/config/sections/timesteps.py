"""Options of the share of noise at which a picture is trained."""

from __future__ import annotations

from typing import Literal

from simpletuner.config.lenient import as_number, shown
from simpletuner.config.option import Section, option

_FIXED = "OmniGen's flow is fixed, no schedule shift applies"
_NO_LIST = "a flow has no list of timesteps to lean towards: use flow_cubic_schedule_weights"
_EACH_USE = "sigma is drawn for each use of a picture, not for a batch: use flow_stratified_timesteps"


class FlowConfig(Section):
    """How often which share of noise (sigma: 0 is the picture, 1 is noise) is trained. Only one law can be in force."""

    flow_sigmoid_scale: float = option(1.0, reads=("training",), gt=0)
    """Sigma is the sigmoid of this times a normal draw; 1 is what OmniGen was trained with, more goes to both ends."""
    flow_use_uniform_schedule: bool = option(default=False, reads=("training",))
    """Every share of noise equally often."""
    flow_use_beta_schedule: bool = option(default=False, reads=("training",))
    """Sigma from a beta distribution."""
    flow_beta_schedule_alpha: float = option(2.0, reads=("training",), gt=0)
    """Its alpha: larger than beta leans towards noise."""
    flow_beta_schedule_beta: float = option(2.0, reads=("training",), gt=0)
    """Its beta: larger than alpha leans towards the picture."""
    flow_cubic_schedule_weights: str | None = option(None, reads=("training",), examples=["1,2,4"])
    """A density through equally spaced weights, along the model's own clock: OmniGen's runs from noise to the picture.
    One weight is uniform, two are a straight line, more a monotone cubic."""
    flow_custom_timesteps: str | None = option(None, reads=("training",), examples=["0.25,0.5,0.75"])
    """Train at these only: sigmas when all lie within 0 and 1, else timesteps from 0 to 1000 (noise)."""
    flow_timesteps_mode: Literal["fixed-list", "round-robin"] = option("fixed-list", reads=("training",))
    """Of `flow_custom_timesteps`, each use draws one, or takes the next."""
    flow_stratified_timesteps: bool = option(default=False, reads=("training",))
    """Spread the draws of sigma evenly over the order of the run, by whatever law: less noise in loss and gradients."""
    flow_schedule_shift: float = option(3.0, unread=_FIXED)
    """Constant shift of the timesteps."""
    flow_schedule_auto_shift: bool = option(default=False, unread=_FIXED)
    """Shift that grows with the resolution."""
    timestep_bias_strategy: Literal["none", "earlier", "later", "range"] = option("none", unread=_NO_LIST)
    """Which timesteps are drawn more often."""
    timestep_bias_begin: int = option(0, unread=_NO_LIST, ge=0, le=1000)
    """The first of them."""
    timestep_bias_end: int = option(1000, unread=_NO_LIST, ge=0, le=1000)
    """The last of them."""
    timestep_bias_multiplier: float = option(1.0, unread=_NO_LIST, ge=0)
    """How much more often."""
    timestep_bias_portion: float = option(0.25, unread=_NO_LIST, ge=0, le=1)
    """The share of all timesteps that they are."""
    disable_segmented_timestep_sampling: bool = option(default=False, unread=_EACH_USE)
    """Draw the timesteps of a batch without dividing the schedule among them."""


def cubic_weights(text: str) -> tuple[float, ...]:
    """The weights of ``flow_cubic_schedule_weights``. Raises ValueError."""
    weights = _numbers(text)
    if any(weight < 0 for weight in weights) or (weights and not any(weights)):
        raise ValueError(f"{shown(text)}: weights are not negative, and one at least is above 0")
    return weights


def custom_sigmas(text: str) -> tuple[float, ...]:
    """The shares of noise of ``flow_custom_timesteps``. Raises ValueError."""
    values = _numbers(text)
    limit = 1 if all(0 <= value <= 1 for value in values) else _TIMESTEPS
    if not values or any(not 0 <= value <= limit for value in values):
        raise ValueError(f"{shown(text)}: sigmas lie within 0 and 1, timesteps within 0 and {_TIMESTEPS}")
    return tuple(value / limit for value in values)


_TIMESTEPS = 1000


def _numbers(text: str) -> tuple[float, ...]:
    """The numbers of a comma list or a JSON array."""
    return tuple(as_number(word) for word in text.strip().strip("[]").split(",") if word.strip())


def laws_asked_for(flow: FlowConfig) -> tuple[str, ...]:
    """The options that choose how sigma is drawn; none for the logit-normal law, and at most one in a sound file."""
    asked = {
        "flow_use_uniform_schedule": flow.flow_use_uniform_schedule,
        "flow_use_beta_schedule": flow.flow_use_beta_schedule,
        "flow_cubic_schedule_weights": flow.flow_cubic_schedule_weights is not None,
        "flow_custom_timesteps": flow.flow_custom_timesteps is not None,
    }
    return tuple(name for name, on in asked.items() if on)
