"""What the launchers of other programs promise in the environment, and what of it is kept here."""

from __future__ import annotations

from collections.abc import Mapping

from simpletuner.core.errors import ConfigError

_PLUGINS = {
    "ACCELERATE_USE_FSDP": '"fsdp_enable": true',
    "ACCELERATE_USE_DEEPSPEED": '"deepspeed_config": {"zero_optimization": {"stage": 2}}, with its stage',
    "ACCELERATE_USE_MEGATRON_LM": '"fsdp_enable": true',
    "ACCELERATE_USE_PARALLELISM_CONFIG": '"fsdp_enable": true',
}


def require_no_plugin(environ: Mapping[str, str]) -> None:
    """Refuse a plugin that `accelerate launch` was asked for: nothing of it would be in force. Raises ConfigError."""
    for name, option in _PLUGINS.items():
        if environ.get(name, "").strip().lower() in ("true", "1", "yes"):
            raise ConfigError(
                "accelerate was asked for a plugin, and this program does the work of it itself",
                key=name,
                cure=f"run `accelerate config` without it, or start `simpletuner train`, and write {option}",
            )
