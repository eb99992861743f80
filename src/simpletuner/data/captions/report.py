"""What the report says of a data set's captions: missing ones, shared ones, and how long they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from simpletuner.data.captions.lengths import measure_lengths
from simpletuner.data.captions.problems import duplicate_captions
from simpletuner.data.entries import Dropped
from simpletuner.data.files.table import PictureTable


@dataclass(frozen=True)
class CaptionReport:
    """Captions of one data set. ``missing``, ``empty`` and ``unusable`` count pictures that were dropped for theirs.
    A picture that is trained on its file name for want of a caption is missing one too.

    ``duplicates`` are captions that several files share, with these files, the most shared first. Lengths are in
    tokens: ``over`` lists files whose longest caption is above ``advised``, at most 20 of ``over_count``;
    ``estimated`` says that no tokenizer was at hand.
    """

    strategy: str
    missing: int = 0
    empty: int = 0
    unusable: int = 0
    duplicates: tuple[tuple[str, tuple[str, ...]], ...] = ()
    median: int = 0
    longest: int = 0
    over: tuple[tuple[str, int], ...] = ()
    over_count: int = 0
    advised: int = 0
    estimated: bool = True


@dataclass(frozen=True)
class Yardstick:
    """What measures captions: a counter of tokens, None to estimate, and the length that is advised at most."""

    count: Callable[[Sequence[str]], Sequence[int]] | None
    advised: int


def caption_report(
    table: PictureTable,
    strategy: str,
    dropped: Iterable[Dropped],
    yardstick: Yardstick,
    *,
    written_one_by_one: bool,
    uncaptioned: Iterable[str] = (),
) -> CaptionReport:
    """Report the captions of ``table``. Only those that are ``written_one_by_one`` should not be shared.

    ``uncaptioned`` are pictures that are trained on their file names for want of a caption.
    """
    lengths = measure_lengths(zip(table.paths, table.captions, strict=True), yardstick.count, yardstick.advised)
    shared = duplicate_captions(zip(table.paths, table.captions, strict=True)) if written_one_by_one else []
    kinds = [_kind(item) for item in dropped if item.cause == "caption"]
    return CaptionReport(
        strategy=strategy,
        missing=kinds.count("missing") + sum(path in table for path in uncaptioned),
        empty=kinds.count("empty"),
        unusable=kinds.count("unusable"),
        duplicates=tuple(shared),
        median=lengths.median,
        longest=lengths.longest,
        over=lengths.over,
        over_count=lengths.over_count,
        advised=lengths.advised,
        estimated=lengths.estimated,
    )


def _kind(item: Dropped) -> str:
    if "is missing" in item.reason or "has no row" in item.reason:
        return "missing"
    return "empty" if " empty" in item.reason else "unusable"
