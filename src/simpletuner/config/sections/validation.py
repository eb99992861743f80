"""Options of the pictures drawn during training and of the evaluation."""

from __future__ import annotations

from typing import Literal

from simpletuner.config.option import Section, option


class ValidationConfig(Section):
    """When, and how, pictures are drawn to see what the model learns."""

    validation_disable: bool = option(default=False, reads=("validation",))
    """Draw nothing."""
    validation_prompt: str | None = option(None, reads=("validation",))
    """The main prompt."""
    user_prompt_library: str | None = option(None, reads=("config",))
    """JSON file of further prompts: nickname to prompt, or to an object with `prompt` and `adapter_strength`."""
    validation_prompt_library: bool = option(default=False, reads=("validation",))
    """Add a built-in set of prompts, 24 of various subjects and styles."""
    validation_step_interval: int = option(100, reads=("validation",))
    """Draw every so many weight updates; 0 is never."""
    validation_epoch_interval: int | None = option(None, reads=("validation",))
    """Draw at the end of every so many epochs."""
    validate_after_step: int = option(0, reads=("validation",), ge=0)
    """Draw nothing on schedule before so many weight updates."""
    validate_after_epoch: int = option(0, reads=("validation",), ge=0)
    """Draw nothing on schedule before so many whole epochs."""
    validation_on_startup: bool = option(default=False, reads=("validation",))
    """Draw before the first weight update."""
    validation_resolution: str = option("256", reads=("validation",))
    """Sizes, separated by commas: an edge in pixels, WIDTHxHEIGHT, or megapixels below 16."""
    validation_seed: int | None = option(None, reads=("validation",))
    """Fixes the first noise of each picture; not given, `seed`, then 0."""
    validation_randomize: bool = option(default=False, reads=("validation",))
    """Begin each validation with other noise; which one follows from `validation_seed` and the step."""
    validation_guidance: float = option(7.5, reads=("validation",), ge=0)
    """Strength of the prompt; low values (2.5 to 3) look more real."""
    validation_image_guidance: float = option(1.6, reads=("validation",), ge=0)
    """Strength of the input pictures, where a prompt has some; the references' own value."""
    validation_using_datasets: bool = option(default=False, reads=("validation",))
    """Draw captions of the data sets that have references, with these, `num_eval_images` of each at their own size."""
    validation_input: str | None = option(None, reads=("validation",))
    """Files of input pictures, separated by commas, that `validation_prompt` and the library are drawn with."""
    validation_stitch_input_location: Literal["left", "right"] = option("left", reads=("validation",))
    """On which side of the drawn pictures their input pictures stand."""
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
    validation_preview: bool = option(default=False, reads=("validation",))
    """Send pictures while they are being sampled to the raw webhooks of `webhook_config`, `simpletuner watch` among
    them."""
    validation_preview_steps: int = option(1, reads=("validation",), ge=1)
    """Sampling steps between two previews: of 20 steps, 5 shows 5, 10, 15 and 20."""
    disable_benchmark: bool = option(default=False, reads=("validation",))
    """Do not draw with the base model before training, nor put those pictures beside later ones."""


class EvaluationConfig(Section):
    """The loss on pictures that are never trained on."""

    eval_steps_interval: int | None = option(None, reads=("validation",), ge=1)
    """Weight updates between two evaluations of the data sets of type `eval`."""
    eval_epoch_interval: float | None = option(None, reads=("validation",), gt=0)
    """Epochs between two evaluations; 0.5 is twice an epoch."""
    num_eval_images: int | None = option(None, reads=("validation",), ge=1)
    """Pictures of each data set that an evaluation measures, evenly spread, and `validation_using_datasets` draws; not
    given, all and 4."""
    eval_timesteps: int = option(28, reads=("validation",), ge=1)
    """Noise levels at which each picture is evaluated."""
    eval_dataset_pooling: bool = option(default=False, reads=("validation",))
    """Evaluate all data sets as one, `loss/val/pooled`."""
    evaluation_type: Literal["none", "clip"] = option("none", reads=("validation",))
    """Scores of validation pictures; `clip` is the cosine of each picture and its prompt."""
    pretrained_evaluation_model_name_or_path: str | None = option(None, reads=("validation",))
    """The CLIP that scores, a folder or a hub id; not given, `openai/clip-vit-large-patch14-336`, or with the tiny
    flavour the bundled one."""
    memorisation_probe: bool | None = option(None, reads=("validation",))
    """Compare validation pictures with the training pictures; not given, where `evaluation_type` is `clip`. Without a
    CLIP colours are compared."""
    eval_loss_disable: bool = option(default=False, reads=("config",))
    """Keep evaluation data sets without computing their loss."""
    checkpoint_best: bool = option(default=True, reads=("validation",))
    """Keep the weights with the lowest evaluation loss as `checkpoint-best`."""
    early_stop_patience: int | None = option(None, reads=("validation",), ge=1)
    """End training after so many evaluations in a row without a lower loss."""

    @property
    def looks_for_copies(self) -> bool:
        """Whether validation pictures are compared with the training pictures."""
        return self.evaluation_type == "clip" if self.memorisation_probe is None else self.memorisation_probe

    @property
    def wants_loss(self) -> bool:
        """Whether data sets of type `eval` are evaluated."""
        asked = self.eval_steps_interval is not None or self.eval_epoch_interval is not None
        return asked and not self.eval_loss_disable
