from __future__ import annotations

import pytest

from simpletuner.assemble.launchers import require_no_plugin
from simpletuner.core.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("ACCELERATE_USE_FSDP", '"fsdp_enable": true'),
        ("ACCELERATE_USE_DEEPSPEED", '"deepspeed_config": {"zero_optimization": {"stage": 2}}'),
        ("ACCELERATE_USE_MEGATRON_LM", '"fsdp_enable": true'),
    ],
)
def test_a_plugin_of_accelerate_is_refused_by_the_option_that_does_it(name: str, option: str) -> None:
    for word in ("true", "1"):
        with pytest.raises(ConfigError, match=f"{name}: (?s:.*){option}"):
            require_no_plugin({name: word})


def test_plain_launchers_are_welcome() -> None:
    require_no_plugin({"ACCELERATE_USE_FSDP": "false", "ACCELERATE_MIXED_PRECISION": "bf16", "WORLD_SIZE": "2"})
