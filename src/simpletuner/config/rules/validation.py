"""What follows from the options of validation together, and from who is told of a run. All pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from simpletuner.config.files.webhooks import LEVELS, Webhook
from simpletuner.config.reading.resolutions import MULTIPLE, rounded_sizes
from simpletuner.config.run import RunConfig


def draws(config: RunConfig) -> bool:
    """Whether validation has anything to draw."""
    asked = config.validation
    prompts = (
        asked.validation_prompt,
        asked.user_prompt_library,
        asked.validation_prompt_library,
        asked.validation_using_datasets,
    )
    return any(prompts) and not asked.validation_disable


def previews_are_seen(config: RunConfig, webhooks: Sequence[Webhook]) -> bool:
    """Whether previews that are asked for would be seen: pictures are drawn, and somebody looks."""
    return draws(config) and any(map(_looks, webhooks))


def _looks(webhook: Webhook) -> bool:
    return webhook.kind == "raw" and LEVELS.index(webhook.log_level) >= LEVELS.index("info")


def validation_notices(config: RunConfig) -> Iterator[str]:
    """Scores of pictures that are not drawn, and sizes that are drawn as others."""
    if config.evaluation.evaluation_type != "none" and not draws(config):
        why = "validation_disable is on" if config.validation.validation_disable else "there is no validation_prompt"
        yield f"evaluation_type {config.evaluation.evaluation_type}: nothing is scored, since nothing is drawn ({why})"
    rounded = rounded_sizes(config.validation.validation_resolution) if draws(config) else ()
    for asked, (width, height) in rounded:
        yield f"validation_resolution {asked} is drawn as {width}x{height}: OmniGen's edges are multiples of {MULTIPLE}"


def preview_notices(config: RunConfig, given: Collection[str], webhooks: Sequence[Webhook]) -> Iterator[str]:
    """Why previews that are asked for will not be seen."""
    asked = config.validation
    if not asked.validation_preview:
        if "validation_preview_steps" in given:
            yield "not read: validation_preview_steps (validation_preview is off)"
    elif not draws(config):
        yield "validation_preview: nothing is drawn, so no preview either; give a validation_prompt"
    elif not any(map(_looks, webhooks)):
        why = "no raw webhook of level info is given" if webhooks else "no webhook_config is given"
        yield f"validation_preview: {why}, so nobody sees previews; `simpletuner watch` shows them"
    elif asked.validation_preview_steps > asked.validation_num_inference_steps:
        steps = f"{asked.validation_preview_steps} of {asked.validation_num_inference_steps} sampling steps"
        yield f"validation_preview_steps: a preview every {steps} is none at all"
