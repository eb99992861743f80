"""Cosines of pictures and prompts as the numbers that a run tells. No torch here."""

from __future__ import annotations

import math
from collections.abc import Sequence

from simpletuner.validation.loss.paired import difference
from simpletuner.validation.scores.scorer import Seen

_DIGITS = 4


def representatives(seen: Sequence[Seen]) -> tuple[int, ...]:
    """The places of the pictures that stand for their prompts: the last of each; the empty prompt has none."""
    return tuple({one.nickname: place for place, one in enumerate(seen) if one.prompt.strip()}.values())


def summary(scores: Sequence[float]) -> dict[str, float]:
    """``clip/mean``, ``min``, ``max`` and ``std`` (of these prompts, 0 for one) of at least one score."""
    mean = math.fsum(scores) / len(scores)
    deviation = math.sqrt(math.fsum((score - mean) ** 2 for score in scores) / len(scores))
    told = {"mean": mean, "min": min(scores), "max": max(scores), "std": deviation}
    return {f"clip/{name}": round(value, _DIGITS) for name, value in told.items()}


def against_base(scores: Sequence[float], base: Sequence[float]) -> dict[str, float]:
    """The base model's mean on the same prompts and noise, and by how much the scores lie above it, with its error."""
    if not base:
        return {}
    gain = difference(scores, base)
    told = {"base/mean": math.fsum(base) / len(base), "gain": gain.value}
    told |= {"gain/se": gain.error} if gain.error is not None else {}
    return {f"clip/{name}": round(value, _DIGITS) for name, value in told.items()}
