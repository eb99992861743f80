"""Options of how validation pictures are sampled, where this program has one way and says which."""

from __future__ import annotations

from typing import Literal

from simpletuner.config.option import Section, option

_ONE_SAMPLER = "is not OmniGen's: it is sampled with Euler steps along its own flow"
_ON_CPU = "would draw other noise on another card: it is drawn on the CPU"
_SCRIPT = "is not available: `post_checkpoint_script` starts a program of yours after each checkpoint"


class SamplerConfig(Section):
    """The sampler of validation pictures."""

    validation_noise_scheduler: Literal["euler"] | None = option(
        None,
        reads=("config",),
        respelled={"flow_matching": "euler", "flow-euler": "euler"},
        refused=dict.fromkeys(("ddim", "ddpm", "euler-a", "unipc", "dpm++", "perflow"), _ONE_SAMPLER),
    )
    """The sampler's steps: OmniGen's own, Euler steps along the flow."""
    validation_seed_source: Literal["cpu"] = option("cpu", reads=("config",), refused={"gpu": _ON_CPU})
    """Where the first noise is drawn, so that every machine begins with the same."""
    validation_method: Literal["simpletuner-local"] = option(
        "simpletuner-local", reads=("config",), refused={"external-script": _SCRIPT}
    )
    """Who draws: this program."""
    validation_guidance_real: float = option(1.0, unread="it is for distilled models, which OmniGen is not", ge=0)
    """Guidance of a distilled model."""
    validation_multigpu: Literal["batch-parallel", "single-gpu"] = option(
        "batch-parallel", unread="the first process draws; the others wait, or do their part where they share the model"
    )
    """Which cards draw."""
