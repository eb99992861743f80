"""Randomness keyed by what it is for, without torch: the same parts give the same draw everywhere."""

from __future__ import annotations

import hashlib
import random


def derive_seed(*parts: object) -> int:
    """A 63-bit seed from printable parts, for instance ``(seed, sample, visit, "noise")``."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1


def keyed_random(*parts: object) -> random.Random:
    """A generator whose stream depends on ``parts`` alone."""
    return random.Random(derive_seed(*parts))
