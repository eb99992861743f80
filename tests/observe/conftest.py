from __future__ import annotations

from typing import Any

from simpletuner.config.reading.fill import Source, fill
from simpletuner.config.run import SECTIONS, RunConfig

_LEAST = {
    "model_type": "lora",
    "model_family": "omnigen",
    "lora_type": "lycoris",
    "lycoris_config": "lycoris_config.json",
    "output_dir": "output",
    "optimizer": "adamw_bf16",
    "max_train_steps": 4,
    "train_batch_size": 1,
    "learning_rate": 1e-3,
}


def run_config(**options: Any) -> RunConfig:
    """A configuration of every section, from flat options."""
    made = {name: fill(kind, _LEAST | options, Source("test"))[0] for name, kind in SECTIONS.items()}
    return RunConfig.model_validate(made)
