"""Which blocks of a model take turns on the device; no torch, so that too many are refused before anything loads."""

from __future__ import annotations

from simpletuner.core.errors import ConfigError

SLOTS = 2
_KEY = "musubi_blocks_to_swap"


def rotating(blocks: int, swapped: int) -> tuple[int, ...]:
    """The blocks that take turns, spread evenly. Raises ConfigError when fewer than two would stay on the device."""
    if swapped > blocks - SLOTS:
        reason = f"{swapped} of {blocks} blocks: {SLOTS} are on the card at any time, the one in use and the next"
        raise ConfigError(reason, key=_KEY, cure=f"at most {blocks - SLOTS}")
    turns = swapped + SLOTS
    return tuple(turn * blocks // turns for turn in range(turns))
