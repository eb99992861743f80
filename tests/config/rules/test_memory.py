from __future__ import annotations

from typing import Any

import pytest

from simpletuner.core.errors import ConfigError


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"gradient_checkpointing": False, "activation_memory_budget": 2}, "turn gradient_checkpointing on"),
        ({"gradient_checkpointing_interval": 4, "activation_memory_budget": 2}, "keep one of them"),
        ({"activation_memory_budget": 0}, "activation_memory_budget: '0.0' is out of range: it must be above 0"),
        (
            {"gradient_checkpointing": False, "musubi_blocks_to_swap": 4},
            "musubi_blocks_to_swap: a swapped block is computed again in the backward pass",
        ),
        (
            {"gradient_checkpointing_interval": 2, "musubi_blocks_to_swap": 4},
            "set gradient_checkpointing_interval to 1",
        ),
        ({"model_type": "full", "musubi_blocks_to_swap": 4}, "model_type full trains them all"),
        ({"dynamo_backend": "eager", "dynamo_mode": "max-autotune-no-cudagraphs"}, "is a mode of inductor"),
        ({"dynamo_backend": "cudagraphs"}, "dynamo_backend: 'cudagraphs' records CUDA graphs"),
        ({"dynamo_mode": "reduce-overhead"}, "dynamo_mode: 'reduce-overhead' records CUDA graphs"),
        ({"dynamo_backend": "inductr"}, "inductor"),
        ({"dynamo_use_regional_compilation": "false"}, "one block is compiled here and shared by all"),
        ({"gradient_checkpointing_backend": "unsloth"}, "gradient_checkpointing_backend: 'unsloth' is not available"),
        ({"attention_mechanism": "sageattention"}, "attention_mechanism: 'sageattention' has no backward pass"),
        ({"attention_mechanism": "xformers"}, "use sdpa-flash or sdpa-efficient"),
        ({"attention_mechanism": "flash-attn-3"}, "use sdpa-cudnn there"),
    ],
)
def test_what_cannot_be(project: Any, options: dict[str, object], told: str) -> None:
    project.set(**options)
    with pytest.raises(ConfigError) as caught:
        project.load()
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"gradient_checkpointing_interval": 1, "activation_memory_budget": 2, "musubi_blocks_to_swap": 4},
        {"gradient_checkpointing_interval": 4},
        {"dynamo_backend": "INDUCTOR", "dynamo_mode": "max-autotune-no-cudagraphs", "dynamo_dynamic": "false"},
        {"gradient_checkpointing_backend": "torch", "attention_mechanism": "sdpa"},
        {"dynamo_use_regional_compilation": True, "dynamo_backend": "aot_eager", "dynamo_fullgraph": "yes"},
    ],
)
def test_what_goes_together_is_read_without_a_word(project: Any, options: dict[str, object]) -> None:
    before = project.load().notices
    project.set(**options)
    assert project.load().notices == before


def test_what_nothing_reads_is_told(project: Any) -> None:
    project.set(dynamo_mode="default", gradient_checkpointing=False, gradient_checkpointing_interval=4)
    notices = project.load().notices
    assert "not read: dynamo_mode (dynamo_backend is no)" in notices
    assert "not read: gradient_checkpointing_interval (gradient_checkpointing is off)" in notices
