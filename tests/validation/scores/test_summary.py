from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from simpletuner.validation.scores.scorer import PictureScore, PictureScorer, Seen
from simpletuner.validation.scores.summary import against_base, representatives, summary

COSINES = st.lists(st.floats(-1, 1), min_size=1, max_size=20)


def seen(nickname: str, prompt: str) -> Seen:
    return Seen(nickname, prompt, Image.new("RGB", (8, 8)))


@given(COSINES)
def test_the_numbers_are_those_of_the_scores(scores: list[float]) -> None:
    told = summary(scores)
    assert told["clip/mean"] == pytest.approx(statistics.fmean(scores), abs=6e-5)
    assert told["clip/std"] == pytest.approx(statistics.pstdev(scores), abs=6e-5)
    assert (told["clip/min"], told["clip/max"]) == (round(min(scores), 4), round(max(scores), 4))


def test_one_prompt_has_no_spread_and_four_digits() -> None:
    assert summary([0.123456]) == {"clip/mean": 0.1235, "clip/min": 0.1235, "clip/max": 0.1235, "clip/std": 0.0}


def test_the_last_picture_stands_for_its_prompt_and_the_empty_prompt_for_nothing() -> None:
    every = [seen("unconditional", ""), *[seen("apple", "an apple")] * 2, seen("blank", " "), seen("last", "a frog")]
    assert representatives(every) == (2, 4)


def test_the_gain_over_the_base_model_is_paired() -> None:
    told = against_base([0.3, 0.5], [0.2, 0.3])
    assert told == {"clip/base/mean": 0.25, "clip/gain": 0.15, "clip/gain/se": 0.05}
    assert against_base([0.3], [0.1]) == {"clip/base/mean": 0.1, "clip/gain": 0.2}
    assert against_base([0.3], []) == {}


def test_nobody_judges_unless_asked() -> None:
    assert PictureScorer().score(3, [seen("apple", "an apple")]) == [PictureScore()]
    assert (PictureScore().facts, PictureScore(0.31).facts) == ({}, {"clip_score": "0.3100"})
