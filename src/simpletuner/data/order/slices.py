"""How ranks and micro-batches share one update."""

from __future__ import annotations

from simpletuner.core.samples import Update, Use


def micro_batches(update: Update, micro_batch: int, ranks: int, rank: int) -> tuple[tuple[Use, ...], ...]:
    """The micro-batches of one rank.

    Rank shares are contiguous, differ by one use at most and together are the update. Every rank gets the same number
    of micro-batches, because each is a collective call under DDP; in a short update the last ones may be smaller or
    empty, and an empty one still has to run its part of that call. A loss is weighted by samples, so slicing does not
    change it.
    """
    if not 0 <= rank < ranks or micro_batch < 1:
        raise ValueError(f"no rank {rank} of {ranks} with micro-batches of {micro_batch}")
    count = len(update.uses)
    share = update.uses[rank * count // ranks : (rank + 1) * count // ranks]
    largest_share = -(-count // ranks)
    return tuple(share[start : start + micro_batch] for start in range(0, largest_share, micro_batch))
