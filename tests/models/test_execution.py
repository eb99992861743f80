from __future__ import annotations

import pytest
import torch

from simpletuner.config.sections.memory import MemoryConfig
from simpletuner.core.errors import ConfigError
from simpletuner.models.execution import STATIC_TEXT, Compile, Execution, execution_of

CPU = torch.device("cpu")


def test_the_defaults_recompute_every_block_and_nothing_else() -> None:
    assert execution_of(MemoryConfig(), CPU) == Execution(recompute=True)


def test_every_option_arrives() -> None:
    asked = MemoryConfig(
        gradient_checkpointing_interval=4,
        activation_memory_budget=1.5,
        attention_mechanism="sdpa-math",
        musubi_blocks_to_swap=3,
        dynamo_backend="inductor",
        dynamo_mode="max-autotune-no-cudagraphs",
        dynamo_fullgraph=True,
        dynamo_dynamic=False,
    )
    compiled = Compile("inductor", "max-autotune-no-cudagraphs", fullgraph=True, dynamic=False)
    assert execution_of(asked, CPU) == Execution(
        recompute=True, interval=4, budget=3 * 2**29, attention="sdpa-math", compiled=compiled, swapped=3
    )


def test_texts_are_padded_only_where_every_length_is_compiled_alone() -> None:
    assert Execution().text_multiple == Execution(compiled=Compile()).text_multiple == 1
    assert Execution(compiled=Compile(dynamic=False)).text_multiple == STATIC_TEXT


def test_a_kernel_that_the_device_lacks_is_refused() -> None:
    with pytest.raises(ConfigError, match="sdpa-cudnn"):
        execution_of(MemoryConfig(attention_mechanism="sdpa-cudnn"), CPU)
