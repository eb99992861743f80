"""What sampling guides away from, and what a dropped caption becomes."""

from __future__ import annotations

import pytest

from simpletuner.core.errors import DataError
from simpletuner.models.omnigen.layers import TINY_FOLDER
from simpletuner.models.omnigen.text import load_text, reference_negative


def test_tiny_guides_away_from_its_training_prompt_and_v1_from_the_references_text() -> None:
    tiny, v1 = (load_text(TINY_FOLDER, builtin_negative=builtin) for builtin in (False, True))
    assert tiny.negative(None)[0] == "<cfg>"
    assert tiny.negative(None)[1].tolist() == tiny.unconditional().tolist()
    assert v1.negative(None)[0] == reference_negative()
    assert "low quality" in reference_negative()


def test_the_users_negative_prompt_wins() -> None:
    text, ids = load_text(TINY_FOLDER, builtin_negative=False).negative("blurry")
    assert text == "blurry"
    assert ids.tolist() == load_text(TINY_FOLDER, builtin_negative=True).tokenize("blurry").tolist()


def test_the_fingerprint_is_the_vocabularys() -> None:
    first, second = (load_text(TINY_FOLDER, builtin_negative=builtin) for builtin in (False, True))
    assert first.fingerprint() == second.fingerprint()
    assert len(first.fingerprint()) == 32


def test_pictures_stand_in_the_ids_as_negative_numbers() -> None:
    text = load_text(TINY_FOLDER, builtin_negative=False)
    ids = text.tokenize("<img><|image_2|></img> like <img><|image_1|></img>", 2).tolist()
    assert [token for token in ids if token < 0] == [-2, -1]
    alone = text.pictures_alone(2)
    assert alone.tolist() == text.tokenize("<img><|image_1|></img> <img><|image_2|></img>", 2).tolist()
    assert min(text.tokenize("<img><|image_1|></img>").tolist()) >= 0, "without pictures the tag is words"
    with pytest.raises(DataError, match=r"2 input pictures and names <\|image_1\|>"):
        text.tokenize("<img><|image_1|></img> a cat", 2)


def test_pictures_that_no_words_name_stand_before_them() -> None:
    text = load_text(TINY_FOLDER, builtin_negative=False)
    named = text.tokenize("<img><|image_1|></img> <img><|image_2|></img> a cat", 2)
    assert text.tokenize("a cat", 2).tolist() == named.tolist()
    assert text.tokenize("", 2).tolist() == text.pictures_alone(2).tolist()
