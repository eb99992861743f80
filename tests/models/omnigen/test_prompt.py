"""Ids, positions and masks against diffusers' own processor, which needs torchvision only in its ``__init__``."""

from __future__ import annotations

import pytest
import torch
from diffusers.pipelines.omnigen.processor_omnigen import OmniGenCollator, OmniGenMultiModalProcessor
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from simpletuner.core.batch import Prompt
from simpletuner.core.errors import DataError
from simpletuner.models.omnigen.layers import TINY_FOLDER
from simpletuner.models.omnigen.prompt import (
    PICTURE_TOKEN_ID,
    collate,
    positions,
    text_mask,
    tokenize,
    tokenize_with_pictures,
)

CPU = torch.device("cpu")
WORDS = "a red apple cat's photo-realistic 1024px café 絵 🦊 <|end|> <cfg> \n , . ( ) _ the of in 3D low-poly".split(
    " "
)
PROMPTS = st.one_of(
    st.text(max_size=60), st.lists(st.sampled_from(WORDS), max_size=80).map(" ".join), st.just("")
).filter(lambda text: "<img><|image_1|></img>" not in text)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(TINY_FOLDER / "tokenizer")


def reference(tokenizer: PreTrainedTokenizerBase) -> OmniGenMultiModalProcessor:
    processor = OmniGenMultiModalProcessor.__new__(OmniGenMultiModalProcessor)
    processor.text_tokenizer = tokenizer
    processor.collator = OmniGenCollator()
    return processor


@settings(max_examples=200)
@given(prompts=st.lists(PROMPTS, min_size=1, max_size=3), height=st.sampled_from([16, 64, 96]))
def test_ids_positions_and_masks_equal_the_references(
    tokenizer: PreTrainedTokenizerBase, prompts: list[str], height: int
) -> None:
    processor = reference(tokenizer)
    inputs = [processor.process_multi_modal_prompt(prompt, None) for prompt in prompts]
    tokens = height * 64 // 256
    ids, expected_positions, expected_mask, *_ = processor.collator.process_mllm_input(
        inputs, [[height, 64]] * len(prompts)
    )
    batch = collate([Prompt(tokenize(tokenizer, prompt)) for prompt in prompts], CPU)
    assert torch.equal(batch.ids, ids)
    assert torch.equal(positions(batch, tokens), expected_positions)
    width = ids.shape[1] + 1
    for row, length in enumerate(batch.lengths):
        real = slice(width - 1 - length, None)
        assert torch.equal(text_mask(batch)[row, 0, real].float(), expected_mask[row, real, :width][: length + 1])
        keys = torch.nn.functional.pad(batch.valid()[row], (0, 1 + tokens), value=True)
        assert (expected_mask[row, width:] == keys.float()).all(), "image tokens see everything but padding"
        assert expected_mask[row, real, width:][: length + 1].sum() == 0, "text never looks at the image"


def test_two_hundred_prompts_one_by_one(tokenizer: PreTrainedTokenizerBase) -> None:
    processor = reference(tokenizer)
    draws = torch.Generator().manual_seed(0)
    for _ in range(200):
        count = int(torch.randint(1, 40, (), generator=draws))
        prompt = " ".join(WORDS[int(i)] for i in torch.randint(len(WORDS), (count,), generator=draws))
        expected = processor.process_multi_modal_prompt(prompt, None)["input_ids"]
        assert tokenize(tokenizer, prompt).tolist() == list(expected)


def test_padding_is_on_the_left_and_ragged_is_seen() -> None:
    short, long = Prompt(torch.tensor([1, 7])), Prompt(torch.tensor([1, 5, 6, 7]))
    batch = collate([short, long], CPU)
    assert batch.ids.tolist() == [[2, 2, 1, 7], [1, 5, 6, 7]]
    assert batch.is_ragged
    assert not collate([long, long], CPU).is_ragged


def test_a_prompt_begins_with_one_bos_and_has_no_eos(tokenizer: PreTrainedTokenizerBase) -> None:
    ids = tokenize(tokenizer, "red apple").tolist()
    assert ids[0] == 1
    assert ids.count(1) == 1
    assert 2 not in ids


SIZES = st.tuples(st.sampled_from([2, 4, 6]), st.sampled_from([2, 4, 10]))


@st.composite
def prompts_with_pictures(draw: st.DrawFn) -> tuple[str, list[tuple[int, int]]]:
    """Words around the tags of up to three pictures, in any order, some of them named twice."""
    sizes = draw(st.lists(SIZES, min_size=1, max_size=3))
    numbers = list(range(1, len(sizes) + 1))
    named = draw(st.permutations(numbers + draw(st.lists(st.sampled_from(numbers), max_size=2))))
    words = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)
    return "".join(f"{draw(words)}<img><|image_{number}|></img>" for number in named) + draw(words), sizes


@settings(max_examples=100)
@given(rows=st.lists(prompts_with_pictures(), min_size=1, max_size=3), words=st.lists(PROMPTS, max_size=1))
def test_ids_positions_and_masks_with_pictures_equal_the_references(
    tokenizer: PreTrainedTokenizerBase, rows: list[tuple[str, list[tuple[int, int]]]], words: list[str]
) -> None:
    processor = reference(tokenizer)
    inputs = [
        processor.process_multi_modal_prompt(text, [torch.empty(3, 8 * h, 8 * w) for h, w in sizes])
        for text, sizes in rows
    ]
    inputs += [processor.process_multi_modal_prompt(text, None) for text in words]
    ids, expected_positions, expected_mask, *_, places = processor.collator.process_mllm_input(
        inputs, [[64, 64]] * len(inputs)
    )
    ours = [
        Prompt(tokenize_with_pictures(tokenizer, text, len(sizes)), tuple(torch.empty(4, *size) for size in sizes))
        for text, sizes in rows
    ]
    batch = collate([*ours, *(Prompt(tokenize(tokenizer, text)) for text in words)], CPU)
    assert torch.equal(batch.ids, ids)
    assert torch.equal(positions(batch, 16), expected_positions)
    found = [(picture.row, [picture.start, picture.stop]) for picture in batch.pictures]
    assert found == [(row, place) for row in places for place in places[row]]
    width = ids.shape[1] + 1
    for row, length in enumerate(batch.lengths):
        real = slice(width - 1 - length, width)
        assert torch.equal(text_mask(batch)[row, 0, real].float(), expected_mask[row, real, :width])


def test_a_picture_named_twice_stands_twice_and_the_mask_is_two_way_within_each() -> None:
    latents = torch.randn(4, 2, 4)
    batch = collate([Prompt(torch.tensor([1, -1, 7, -1]), (latents,)), Prompt(torch.tensor([1, 5]))], CPU)
    assert batch.ids.tolist() == [[1, 0, 0, 7, 0, 0], [2, 2, 2, 2, 1, 5]]
    assert PICTURE_TOKEN_ID == 0
    assert [(picture.start, picture.stop) for picture in batch.pictures] == [(1, 3), (4, 6)]
    assert all(torch.equal(picture.latents, latents) for picture in batch.pictures)
    forward = text_mask(batch)[0, 0].triu(1).nonzero().tolist()
    assert forward == [[1, 2], [4, 5]]


@pytest.mark.parametrize(
    ("prompt", "count"),
    [
        ("no tag", 1),
        ("<img><|image_1|></img>", 2),
        ("<img><|image_2|></img>", 1),
        ("<|image_1|> and <|image_3|>", 2),
        ("<|image_0|> and <|image_1|>", 1),
    ],
)
def test_a_prompt_that_does_not_name_its_pictures_is_refused(
    tokenizer: PreTrainedTokenizerBase, prompt: str, count: int
) -> None:
    with pytest.raises(DataError, match=f"has {count} input pictures"):
        tokenize_with_pictures(tokenizer, prompt, count)
