"""How a model runs its blocks: what is kept, computed again, compiled and swapped. Values never depend on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from simpletuner.config.sections.memory import MemoryConfig
from simpletuner.models.attention_kernel import require_kernel

_GIB = 2**30
STATIC_TEXT = 32
"""What captions are padded to a multiple of where every length is compiled alone."""


@dataclass(frozen=True)
class Compile:
    """What torch.compile is asked for; ``dynamic`` makes kernels for any length, else for each length alone."""

    backend: Literal["inductor", "aot_eager", "eager"] = "inductor"
    mode: Literal["default", "max-autotune-no-cudagraphs"] = "default"
    fullgraph: bool = False
    dynamic: bool = True


@dataclass(frozen=True)
class Execution:
    """How blocks run.

    With ``recompute``, groups of ``interval`` blocks are computed again in the backward pass, or, with a ``budget`` in
    bytes, only the blocks that do not fit it. ``attention`` names a kernel. The frozen weights of ``swapped`` blocks
    live in host memory.
    """

    recompute: bool = False
    interval: int = 1
    budget: int | None = None
    attention: str = "diffusers"
    compiled: Compile | None = None
    swapped: int = 0

    @property
    def text_multiple(self) -> int:
        """Texts are padded to a multiple of this many tokens."""
        return STATIC_TEXT if self.compiled is not None and not self.compiled.dynamic else 1


def execution_of(memory: MemoryConfig, device: torch.device) -> Execution:
    """What the options ask for. Raises ConfigError when ``device`` lacks the attention kernel."""
    require_kernel(memory.attention_mechanism, device)
    budget = memory.activation_memory_budget
    return Execution(
        recompute=memory.gradient_checkpointing,
        interval=memory.gradient_checkpointing_interval or 1,
        budget=None if budget is None else int(budget * _GIB),
        attention=memory.attention_mechanism,
        compiled=_compile_of(memory),
        swapped=memory.musubi_blocks_to_swap,
    )


def _compile_of(memory: MemoryConfig) -> Compile | None:
    if memory.dynamo_backend == "no":
        return None
    return Compile(memory.dynamo_backend, memory.dynamo_mode, memory.dynamo_fullgraph, memory.dynamo_dynamic)
