"""Options of the adapter laid over the model."""

from __future__ import annotations

from typing import Literal

from simpletuner.config.option import Section, option


class AdapterConfig(Section):
    """What is laid over the frozen model."""

    lora_type: Literal["lycoris", "standard"] = option("lycoris", reads=("config", "assemble"))
    """The adapter library: `lycoris` reads `lycoris_config`; `standard` is a LoRA by PEFT and reads `lora_rank`."""
    lycoris_config: str = option("config/lycoris_config.json", reads=("config",))
    """The LyCORIS file; a relative path is looked up beside the configuration first, then in the current folder."""
    lora_rank: int = option(16, reads=("adapters",), ge=1)
    """Rank of a `standard` LoRA: the inner size of its two factors."""
    lora_alpha: float | None = option(None, reads=("adapters",), gt=0)
    """Strength of a `standard` LoRA: its effect is multiplied by alpha / rank. Not given, it is the rank."""
    lora_dropout: float = option(0.0, reads=("adapters",), ge=0, lt=1)
    """Share of the inputs of a `standard` LoRA that are dropped at random in training."""
    peft_lora_target_modules: str | None = option(None, reads=("adapters",), examples=['["to_q", "to_v"]'])
    """Layers that a `standard` LoRA adapts: a list, as JSON or between commas, of layer names as PEFT has them
    (`to_q`, `to_out.0`), classes (`Attention`, `FeedForward`), full paths or regular expressions. Not given, it
    adapts every linear layer of every block."""
    init_lora: str | None = option(None, reads=("adapters", "assemble"))
    """An adapter file (safetensors) that training starts from; its shape is the adapter's, whatever `lycoris_config`
    says. A run that goes on from a checkpoint starts from that instead."""
    init_lora_step: int | None = option(None, reads=("assemble",), ge=0)
    """The step that counting starts from with `init_lora`. Not given, the one that the file says it was saved at."""
    init_lora_ema: str | None = option(None, reads=("assemble",))
    """The raw average (`ema_shadow.safetensors` of a checkpoint) that goes with `init_lora`; needs `use_ema`."""
    init_lokr_norm: float | None = option(None, reads=("adapters", "assemble"), gt=0, examples=[0.001])
    """LoKr starts as a random change of each layer with this share of its weight's mean and spread, not as none."""
