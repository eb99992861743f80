"""Options of the pictures drawn during training and of the evaluation."""

from __future__ import annotations

from typing import Literal

from simpletuner.config.option import LATER, Section, option

_EVALUATION = "the evaluation loss is not available in this version"
_LIBRARY = {"true": f"{LATER}: give your own prompts with user_prompt_library"}


class ValidationConfig(Section):
    """When, and how, pictures are drawn to see what the model learns."""

    validation_disable: bool = option(default=False, reads=("validation",))
    """Draw nothing."""
    validation_prompt: str | None = option(None, reads=("validation",))
    """The main prompt."""
    user_prompt_library: str | None = option(None, reads=("config",))
    """JSON file of further prompts: nickname to prompt."""
    validation_prompt_library: bool = option(default=False, reads=("config",), refused=_LIBRARY)
    """Add a built-in set of prompts."""
    validation_step_interval: int = option(100, reads=("validation",))
    """Draw every so many weight updates; 0 is never."""
    validation_epoch_interval: int | None = option(None, reads=("validation",))
    """Draw at the end of every so many epochs."""
    validation_on_startup: bool = option(default=False, reads=("validation",))
    """Draw before the first weight update."""
    validation_resolution: str = option("256", reads=("validation",))
    """Sizes, separated by commas: an edge in pixels, WIDTHxHEIGHT, or megapixels below 16."""
    validation_seed: int | None = option(None, reads=("validation",))
    """Fixes the first noise of each picture; not given, `seed`, then 0."""
    validation_guidance: float = option(7.5, reads=("validation",), ge=0)
    """Strength of the prompt; low values (2.5 to 3) look more real."""
    validation_guidance_rescale: float = option(0.0, unread="OmniGen's sampler has no guidance rescale", ge=0, le=1)
    """Rescales the guided prediction."""
    validation_num_inference_steps: int = option(30, reads=("validation",), ge=1)
    """Sampling steps."""
    validation_negative_prompt: str | None = option(None, reads=("validation",))
    """What to guide away from; not given, the flavour's own."""
    validation_disable_unconditional: bool = option(default=False, reads=("validation",))
    """Leave out the picture of the empty prompt."""
    num_validation_images: int = option(1, reads=("validation",), ge=1)
    """Pictures of each prompt and size."""
    validation_lycoris_strength: float = option(1.0, reads=("validation",))
    """Strength of the adapter while drawing."""
    validation_image_format: Literal["png", "webp", "jpeg"] = option("png", reads=("validation",))
    """File format of the pictures."""
    validation_image_quality: int = option(90, reads=("validation",), ge=1, le=100)
    """Quality of webp and jpeg."""
    validation_torch_compile: bool = option(default=False, unread="sampling is not compiled in this version")
    """Compile the model for sampling."""
    validation_preview: bool = option(default=False, unread="previews need a webhook, which this version has not")
    """Show pictures while they are being sampled."""
    validation_preview_steps: int = option(1, unread="previews need a webhook, which this version has not", ge=1)
    """Sampling steps between two previews."""
    disable_benchmark: bool = option(default=False, reads=("validation",))
    """Do not draw with the base model before training, nor put those pictures beside later ones."""


class EvaluationConfig(Section):
    """The loss on pictures that are never trained on."""

    eval_steps_interval: int | None = option(None, unread=_EVALUATION, ge=1)
    """Weight updates between two evaluations."""
    eval_epoch_interval: float | None = option(None, unread=_EVALUATION, gt=0)
    """Epochs between two evaluations; 0.5 is twice an epoch."""
    num_eval_images: int = option(4, unread=_EVALUATION, ge=1)
    """Pictures of each evaluation data set that are used."""
    eval_timesteps: int = option(28, unread=_EVALUATION, ge=1)
    """Noise levels at which each picture is evaluated."""
    evaluation_type: Literal["none"] = option("none", unread=_EVALUATION, refused={"clip": f"{LATER} (CLIP scores)"})
    """Scores of validation pictures."""
    eval_loss_disable: bool = option(default=False, unread=_EVALUATION)
    """Keep evaluation data sets without computing their loss."""
