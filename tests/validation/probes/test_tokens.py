from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from simpletuner.core.batch import Prompt
from simpletuner.models.family import TextReader
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.layers import TINY_FOLDER
from simpletuner.validation.probes.tokens import Answers, arrangements, ask, written
from simpletuner.validation.render import Predict

PROMPT = "one red apple, two blue cars, three green frogs, four yellow suns, five black cats and six white clouds"


@pytest.fixture(scope="module")
def text() -> TextReader:
    return OmniGen().load_text(TINY_FOLDER, builtin_negative=False)


def reader(count: int, start: int) -> Predict:
    """A model whose velocity is the sum of what the first ``count`` words say, and nothing of the others."""

    def predict(noisy: Tensor, sigma: Tensor, prompts: Sequence[Prompt]) -> Tensor:
        del sigma
        rows = [torch.sin(prompt.ids[start : start + count].double() * 12.9898).float() for prompt in prompts]
        told = torch.stack([torch.nn.functional.pad(row, (0, count - len(row))) for row in rows])
        return torch.zeros_like(noisy) + torch.nn.functional.pad(told, (0, 64 - count)).reshape(-1, 1, 8, 8)

    return predict


def test_the_words_of_a_prompt_are_what_differs_from_an_empty_one(text: TextReader) -> None:
    found = written(text, PROMPT)
    bare = text.tokenize("")
    around = torch.cat((found.ids[: found.start], found.ids[found.stop :]))
    assert torch.equal(around, bare)
    assert found.words == len(found.ids) - len(bare)
    changed = found.replaced(4, 3) != found.ids
    assert not changed[: found.start + 4].any()
    assert not changed[found.start + 7 :].any()
    assert (found.replaced(0, found.words) != found.ids).any()
    assert torch.equal(found.replaced(0, found.words)[found.stop :], found.ids[found.stop :])


def test_it_finds_where_a_model_stops_reading(text: TextReader) -> None:
    start, words = written(text, PROMPT).start, written(text, PROMPT).words
    noise = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    found = ask(reader(12, start), text, [PROMPT], noise)
    assert found.length == words
    inside = [value for place, value in zip(found.places, found.rest, strict=True) if place < 12]
    outside = [value for place, value in zip(found.places, found.rest, strict=True) if place >= 12]
    assert min(inside) > 0
    assert set(outside) == {0.0}
    assert 12 <= found.enough(0.01) < 12 + found.width
    assert found.rest_at(13) == 0.0
    assert found.rest[0] == max(found.rest)


def test_prompts_of_different_length_are_averaged_where_they_reach(text: TextReader) -> None:
    start = written(text, PROMPT).start
    found = ask(reader(6, start), text, [PROMPT, "one red apple"], torch.ones(1, 4, 8, 8))
    assert len(found.places) == len(found.replaced) == len(found.rest)
    assert found.width == -(-written(text, PROMPT).words // 16)


def test_it_counts_to_the_end_when_the_last_word_matters() -> None:
    found = Answers(10, 4, (0, 4, 8), (0.5, 0.5, 0.5), (1.0, 0.7, 0.5), 0.6)
    assert found.enough(0.05) == 10
    assert (found.rest_at(5), found.rest_at(9)) == (0.5, 0.0)


@given(st.integers(1, 12), st.integers(1, 6))
def test_sentences_keep_their_words_in_any_order(sentences: int, count: int) -> None:
    prompt = " ".join(f"word{number} stays." for number in range(sentences))
    turned = arrangements(prompt, count)
    assert turned[0] == prompt
    assert len(set(turned)) == len(turned) == min(count, sentences)
    assert all(sorted(one.split()) == sorted(prompt.split()) for one in turned)
