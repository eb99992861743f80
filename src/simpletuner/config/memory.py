"""Options that trade time for memory, and memory for time."""

from __future__ import annotations

from simpletuner.config.option import Section, option


class MemoryConfig(Section):
    """What is kept, computed again, or held elsewhere."""

    gradient_checkpointing: bool = option(default=True, reads=("models",))
    """Compute activations again in the backward pass: much less memory, slower."""
