"""How long captions are in tokens, against the length that a model is thought to understand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import ceil
from statistics import median_low

_WINDOW = 4096
_KEPT = 20
# From here on, in Unicode's order, writing has no spaces between short words: Chinese, Japanese, Korean, emoji.
_FIRST_DENSE = "\u2e80"

CountTokens = Callable[[Sequence[str]], Sequence[int]]
"""Texts to the number of tokens of each."""


@dataclass(frozen=True)
class LengthReport:
    """Lengths in tokens over all captions, 0 when there is none.

    ``over`` lists files with the length of their longest caption where it is above ``advised``: the longest first,
    at most 20 of ``over_count``. ``estimated``: no tokenizer was at hand, see :func:`estimate_tokens`.
    """

    longest: int
    median: int
    over: tuple[tuple[str, int], ...]
    over_count: int
    advised: int
    estimated: bool


def measure_lengths(
    captions: Iterable[tuple[str, Sequence[str]]], count: CountTokens | None, advised: int
) -> LengthReport:
    """Measure the candidate captions of each file; each distinct text of a few thousand files is counted once.

    ``count`` None estimates. Memory grows by one number a caption, so ``captions`` may be a stream of millions.
    """
    lengths: list[int] = []
    over: list[tuple[str, int]] = []
    over_count = 0
    rows = iter(captions)
    while window := list(islice(rows, _WINDOW)):
        tokens = _counted(window, count or estimate_tokens)
        lengths.extend(tokens[text] for _, texts in window for text in texts)
        longest = ((file, max(tokens[text] for text in texts)) for file, texts in window if texts)
        long = [found for found in longest if found[1] > advised]
        over_count += len(long)
        over = sorted([*over, *long], key=lambda found: (-found[1], found[0]))[:_KEPT]
    median = median_low(lengths) if lengths else 0
    return LengthReport(max(lengths, default=0), median, tuple(over), over_count, advised, estimated=count is None)


def estimate_tokens(texts: Sequence[str]) -> list[int]:
    """A guess at the tokens of each text without a tokenizer, rather too many than too few.

    The larger of 1.3 tokens a word and a token for four characters; a Chinese, Japanese or Korean character and an
    emoji are a token each. Rounded up.
    """
    return [_estimate(text) for text in texts]


def _estimate(text: str) -> int:
    dense = sum(character >= _FIRST_DENSE for character in text)
    return ceil(max((len(text) - dense) / 4 + dense, 1.3 * len(text.split())))


def _counted(window: Sequence[tuple[str, Sequence[str]]], count: CountTokens) -> Mapping[str, int]:
    distinct = list(dict.fromkeys(text for _, texts in window for text in texts))
    return dict(zip(distinct, count(distinct), strict=True))
