"""Options of speed: what the processor may do, and what this program does in one way only."""

from __future__ import annotations

from simpletuner.config.option import Section, option

_READ_AT_ONCE = "a batch is a few small files of the cache, which are read at once"


class SpeedConfig(Section):
    """Threads, rounding and buffers."""

    torch_num_threads: int | None = option(None, reads=("assemble",), ge=1)
    """Threads that torch computes with on the CPU, in each process; not given, torch's own choice."""
    disable_tf32: bool = option(default=False, reads=("assemble",))
    """On CUDA, multiply fp32 numbers without rounding them to TF32: exact, slower. bf16 is not touched."""
    accelerator_cache_clear_interval: int | None = option(
        None, unread="torch keeps the memory of one update for the next; asking for it again only costs time", ge=0
    )
    """Weight updates between two times that the card's spare memory is given back."""
    dataloader_prefetch: bool = option(default=False, unread=_READ_AT_ONCE)
    """Prepare batches ahead."""
    dataloader_prefetch_qlen: int = option(10, unread=_READ_AT_ONCE, ge=1)
    """Batches prepared ahead."""
    set_grads_to_none: bool = option(default=False, unread="gradients are freed after every update, always")
    """Free gradients after the update instead of setting them to 0."""
    offload_during_save: bool = option(
        default=False, unread="only what was trained is written; the model makes no room for it"
    )
    """Move the model to the computer's memory while a checkpoint is written."""
