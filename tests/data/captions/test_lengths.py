from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.data.captions.lengths import LengthReport, estimate_tokens, measure_lengths


class Words:
    """Counts words, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.calls = 0

    def __call__(self, texts: Sequence[str]) -> list[int]:
        self.asked += texts
        self.calls += 1
        return [len(text.split()) for text in texts]


def test_lengths_of_all_captions_and_files_above_the_advice() -> None:
    captions = [("a.png", ("one", "one two three")), ("b.png", ("one two",)), ("c.png", ("1 2 3 4 5", "1 2 3 4"))]
    assert measure_lengths(captions, Words(), 2) == LengthReport(
        longest=5, median=3, over=(("c.png", 5), ("a.png", 3)), over_count=2, advised=2, estimated=False
    )


def test_the_advice_itself_is_not_over() -> None:
    assert measure_lengths([("a.png", ("one two",))], Words(), 2).over == ()


def test_nothing_has_no_length() -> None:
    assert measure_lengths([("a.png", ())], Words(), 2) == LengthReport(0, 0, (), 0, 2, estimated=False)
    assert measure_lengths([], None, 2) == LengthReport(0, 0, (), 0, 2, estimated=True)


def test_twenty_files_are_kept_and_all_are_counted() -> None:
    captions = [(f"{number:05}.png", ("x " * (3 + number % 50),)) for number in range(10_000)]
    report = measure_lengths(iter(captions), Words(), 2)
    assert report.over_count == 10_000
    assert report.over == tuple((f"{49 + 50 * number:05}.png", 52) for number in range(20))
    assert (report.longest, report.median) == (52, 27)


def test_equal_captions_are_counted_once_and_many_at_a_time() -> None:
    words = Words()
    measure_lengths([(f"{number}.png", ("same", f"own {number % 10}")) for number in range(1000)], words, 2)
    assert len(words.asked) == len(set(words.asked)) == 11
    assert words.calls == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", 0), ("cat", 2), ("a b c d", 6), ("a" * 41, 11), ("赤い車", 3), ("two words", 3), ("🦊🦊", 2)],
)
def test_the_estimate(text: str, expected: int) -> None:
    assert estimate_tokens([text]) == [expected]


@given(texts=st.lists(st.text(max_size=80), min_size=1, max_size=5))
def test_without_a_tokenizer_lengths_are_estimated_and_marked(texts: list[str]) -> None:
    report = measure_lengths([("a.png", texts)], None, 10)
    assert report.estimated
    assert report.longest == max(estimate_tokens(texts))
    assert bool(report.over) == (report.longest > 10)
