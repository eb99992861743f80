from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.data.captions.shuffle import Separator, ShuffleSpec, has_tags_to_move, shuffled

JOINED: dict[Separator, str] = {"comma": ", ", "space": " ", "period": ". "}


def test_the_original_comes_first_as_it_was_written() -> None:
    found = shuffled("a,b ,  c", ShuffleSpec(count=50))
    assert found[0] == "a,b ,  c"
    assert set(found[1:]) == {"a, c, b", "b, a, c", "b, c, a", "c, a, b", "c, b, a"}


def test_the_original_can_be_left_out() -> None:
    found = shuffled("a, b, c, d, e, f", ShuffleSpec(count=3, include_original=False))
    assert len(found) == 3
    assert "a, b, c, d, e, f" not in found


@pytest.mark.parametrize("include_original", [True, False])
@pytest.mark.parametrize(
    ("caption", "start"), [("", 0), ("one", 0), (" , one,", 0), ("a, b", 1), ("a, b, c", 2), ("a, b", 9)]
)
def test_too_few_tags_leave_the_original_alone(caption: str, start: int, include_original: bool) -> None:
    spec = ShuffleSpec(count=5, position_start=start, include_original=include_original)
    assert shuffled(caption, spec) == (caption,)
    assert not has_tags_to_move(caption, spec)
    assert has_tags_to_move(caption + ",x" * (start + 2), spec)


def test_without_variants_the_original_stays() -> None:
    assert shuffled("a, b", ShuffleSpec(count=0, include_original=False)) == ("a, b",)


def test_the_same_seed_gives_the_same_variants() -> None:
    caption = ", ".join("abcdefghij")
    first = shuffled(caption, ShuffleSpec(seed=1, count=3))
    assert first == shuffled(caption, ShuffleSpec(seed=1, count=3))
    assert first[:3] == shuffled(caption, ShuffleSpec(seed=1, count=2)), "a higher count adds variants"
    assert first != shuffled(caption, ShuffleSpec(seed=2, count=3))
    assert first != shuffled(caption, ShuffleSpec(seed=1, count=3), "another picture")


def test_the_variants_of_a_seed_never_change() -> None:
    # A cache holds their tokens, and a resumed run must draw from the same ones.
    assert shuffled("a, b, c, d, e, f", ShuffleSpec(count=2, seed=42)) == (
        "a, b, c, d, e, f",
        "d, c, b, e, f, a",
        "f, e, b, c, d, a",
    )


@pytest.mark.parametrize(
    ("split_on", "caption", "variant"),
    [
        ("space", "one  two", "two one"),
        ("space", "one two.", "two one."),
        ("period", "One. Two. ", "Two. One."),
        ("period", "One. Two", "Two. One"),
        ("period", "It is 3.5 m. Wait... what.", "Wait... what. It is 3.5 m."),
        ("period", "One.\nTwo.", "Two. One."),
        ("comma", "a cat, a dog.", "a dog, a cat."),
        ("comma", "Dr., a dog.", "a dog, Dr."),
        ("comma", "a, b...", "b..., a"),
    ],
)
def test_separators(split_on: Separator, caption: str, variant: str) -> None:
    found = shuffled(caption, ShuffleSpec(count=20, split_on=split_on, include_original=False))
    assert set(found) == {caption, variant}


@given(
    tags=st.lists(st.text("abc赤🦊", min_size=1, max_size=4), max_size=8),
    split_on=st.sampled_from(["comma", "space", "period"]),
    start=st.integers(0, 4),
    seed=st.integers(),
    count=st.integers(0, 5),
)
def test_the_tags_stay_the_same(tags: list[str], split_on: Separator, start: int, seed: int, count: int) -> None:
    joint = JOINED[split_on]
    caption = joint.join(tags)
    found = shuffled(caption, ShuffleSpec(count, seed, split_on, start))
    assert found[0] == caption
    assert len(set(found)) == len(found) <= count + 1
    for variant in found:
        assert Counter(variant.split(joint)) == Counter(caption.split(joint))
        assert variant.split(joint)[:start] == caption.split(joint)[:start]


@given(caption=st.text("ab,. \n\t"), split_on=st.sampled_from(["comma", "space", "period"]))
def test_any_caption_keeps_its_letters(caption: str, split_on: Separator) -> None:
    for variant in shuffled(caption, ShuffleSpec(3, split_on=split_on)):
        assert Counter(variant)["a"] == Counter(caption)["a"]
        assert Counter(variant)["b"] == Counter(caption)["b"]
