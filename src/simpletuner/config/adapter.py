"""Options of the adapter laid over the model."""

from __future__ import annotations

from typing import Literal

from simpletuner.config.option import LATER, Section, option


class AdapterConfig(Section):
    """What is laid over the frozen model."""

    lora_type: Literal["lycoris"] = option(
        "lycoris", reads=("config",), refused={"standard": f"{LATER} (standard LoRA through PEFT)"}
    )
    """The adapter library: `lycoris` reads `lycoris_config`."""
    lycoris_config: str = option("config/lycoris_config.json", reads=("config",))
    """The LyCORIS file; a relative path is looked up beside the configuration first, then in the current folder."""
