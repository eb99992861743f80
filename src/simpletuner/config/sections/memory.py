"""Options that trade time for memory, and memory for time."""

from __future__ import annotations

from typing import Literal

from simpletuner.config.option import Section, option

_NO_BACKWARD = "has no backward pass, so that nothing could be trained with it"
_TORCHS_OWN = "is a package whose kernels torch has itself: use sdpa-flash or sdpa-efficient"
_GRAPHS = "records CUDA graphs, whose buffers the next block would overwrite: all blocks share one compiled function"
_BACKENDS = ("no", "inductor", "aot_eager", "eager")


class MemoryConfig(Section):
    """What is kept, computed again, compiled, or held elsewhere."""

    gradient_checkpointing: bool = option(default=True, reads=("models",))
    """Compute activations again in the backward pass: much less memory, slower."""
    gradient_checkpointing_interval: int | None = option(None, reads=("models",), ge=0)
    """Blocks that are computed again as one group; 1 is plain checkpointing. Larger groups keep fewer activations
    between blocks and need more memory while one group is computed again.
    """
    gradient_checkpointing_backend: Literal["torch"] = option(
        "torch",
        reads=("config",),
        refused=dict.fromkeys(
            ("torch-ffn", "unsloth", "unsloth-ffn"),
            "is not available: with activation_memory_budget blocks keep what fits, which `torch` does",
        ),
    )
    """What computes activations again."""
    activation_memory_budget: float | None = option(None, reads=("models",), gt=0)
    """GiB for activations: as many blocks as fit keep theirs, and only the others are computed again."""
    attention_mechanism: Literal["diffusers", "sdpa-flash", "sdpa-efficient", "sdpa-cudnn", "sdpa-math"] = option(
        "diffusers",
        reads=("models",),
        respelled={"sdpa": "diffusers", "flash": "sdpa-flash", "flash-attn": "sdpa-flash"},
        refused={
            **dict.fromkeys(
                (
                    "sageattention",
                    "sageattention-int8-fp16-triton",
                    "sageattention-int8-fp16-cuda",
                    "sageattention-int8-fp8-cuda",
                    "sageattention-varlen",
                ),
                _NO_BACKWARD,
            ),
            "xformers": _TORCHS_OWN,
            "flash-attn-2": _TORCHS_OWN,
            "flash-attn-3": "is a package that is built by hand for one kind of card; use sdpa-cudnn there",
        },
    )
    """The attention kernel: `diffusers` lets torch choose, the others name one of torch's own."""
    musubi_blocks_to_swap: int = option(0, reads=("models",), ge=0)
    """Transformer blocks whose frozen weights stay in the computer's memory and visit the card while they are used."""
    dynamo_backend: Literal["no", "inductor", "aot_eager", "eager"] = option(
        "no",
        reads=("models",),
        respelled={name.upper(): name for name in _BACKENDS} | {"none": "no", "false": "no"},
        refused={"cudagraphs": _GRAPHS},
    )
    """Compile the transformer's block with torch.compile: `inductor` makes kernels, `no` does not compile."""
    dynamo_mode: Literal["default", "max-autotune-no-cudagraphs"] = option(
        "default", reads=("models",), refused=dict.fromkeys(("reduce-overhead", "max-autotune"), _GRAPHS)
    )
    """How hard `inductor` looks for faster kernels."""
    dynamo_fullgraph: bool = option(default=False, reads=("models",))
    """Fail when the block cannot be compiled as one piece, instead of compiling its parts."""
    dynamo_dynamic: bool = option(default=True, reads=("models",))
    """Kernels for any length (`true`), or for each length alone, captions being padded to multiples of 32 tokens."""
    dynamo_use_regional_compilation: bool = option(
        default=True,
        reads=("config",),
        refused={"false": "would compile every block anew: one block is compiled here and shared by all"},
    )
    """Compile one block and share it."""
