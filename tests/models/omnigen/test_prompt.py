"""Ids, positions and masks against diffusers' own processor, which needs torchvision only in its ``__init__``."""

from __future__ import annotations

import pytest
import torch
from diffusers.pipelines.omnigen.processor_omnigen import OmniGenCollator, OmniGenMultiModalProcessor
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from simpletuner.models.omnigen.layers import TINY_FOLDER
from simpletuner.models.omnigen.prompt import collate, positions, text_mask, tokenize

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
    batch = collate([tokenize(tokenizer, prompt) for prompt in prompts], CPU)
    assert torch.equal(batch.ids, ids)
    assert torch.equal(positions(batch, tokens), expected_positions)
    width = ids.shape[1] + 1
    for row, length in enumerate(batch.lengths.tolist()):
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
    short, long = torch.tensor([1, 7]), torch.tensor([1, 5, 6, 7])
    batch = collate([short, long], CPU)
    assert batch.ids.tolist() == [[2, 2, 1, 7], [1, 5, 6, 7]]
    assert batch.is_ragged
    assert not collate([long, long], CPU).is_ragged


def test_a_prompt_begins_with_one_bos_and_has_no_eos(tokenizer: PreTrainedTokenizerBase) -> None:
    ids = tokenize(tokenizer, "red apple").tolist()
    assert ids[0] == 1
    assert ids.count(1) == 1
    assert 2 not in ids
