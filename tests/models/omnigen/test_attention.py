"""One block of ours against diffusers' own block under the dense mask that ours does without."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.transformers.transformer_omnigen import OmniGenBlock
from torch import Tensor

from simpletuner.core.batch import Prompt
from simpletuner.models.omnigen.attention import Sequence, run_block, run_last_block, sequence_of
from simpletuner.models.omnigen.prompt import collate
from simpletuner.models.omnigen.rotary import RotaryStore
from tests.models.omnigen.tiny_model import random_omnigen

CPU = torch.device("cpu")
WIDTH = 64


def sequence(texts: list[int], images: list[int], pictures: bool = False) -> Sequence:
    ids = [torch.arange(3, 3 + length) for length in texts]
    rows = [Prompt(torch.cat((own, torch.tensor([-1]))), (torch.randn(4, 4, 4),)) for own in ids]
    batch = collate(rows if pictures else [Prompt(own) for own in ids], CPU)
    return sequence_of(RotaryStore(random_omnigen(num_layers=0).rope), batch, tuple(images))


def dense(found: Sequence, rows: int, length: int) -> Tensor:
    """(B, 1, S, S) bool: what each query may look at."""
    mask = torch.ones(rows, 1, length, length, dtype=torch.bool)
    text = found.text
    mask[:, :, :text, text:] = False
    mask[:, :, :text, :text] = mask[:, :, :text, :text].tril() if found.text_mask is None else found.text_mask
    if found.key_mask is not None:
        mask[:, :, text:] &= found.key_mask
    return mask


def theirs(block: OmniGenBlock, hidden: Tensor, found: Sequence) -> Tensor:
    """diffusers' block, row by row, because it takes one table for all rows."""
    mask = dense(found, len(hidden), hidden.shape[1])
    tables = found.rotary.cos[:, :, 0], torch.cat((found.rotary.sin, found.rotary.sin), dim=-1)[:, :, 0]
    rows = []
    for row in range(len(hidden)):
        own = tuple(table[min(row, len(table) - 1)] for table in tables)
        rows.append(block(hidden[row : row + 1], attention_mask=mask[row : row + 1], image_rotary_emb=own))
    return torch.cat(rows)


CASES = [([9], [16], False), ([9, 9], [16, 16], False), ([4, 9], [16, 16], False), ([9, 9], [16, 4], False)]
CASES += [([3, 7], [16, 12], True), ([5, 5], [16, 16], True)]


@pytest.mark.parametrize(("texts", "images", "pictures"), CASES)
def test_a_block_and_its_gradient_are_diffusers(texts: list[int], images: list[int], pictures: bool) -> None:
    torch.manual_seed(0)
    block, found = random_omnigen().layers[0], sequence(texts, images, pictures)
    hidden = torch.randn(len(texts), found.text + max(images), WIDTH, requires_grad=True)
    upstream = torch.randn_like(hidden)
    wanted = [hidden, *block.parameters()]
    results = [run_block(block, hidden, found), theirs(block, hidden, found)]
    assert (results[0] - results[1]).abs().max() < 1e-6 * results[1].abs().max()
    ours, expected = (torch.autograd.grad(result, wanted, upstream) for result in results)
    for one, other in zip(ours, expected, strict=True):
        assert (one - other).abs().max() < 3e-6 * other.abs().max()


@pytest.mark.parametrize(("texts", "images", "pictures"), CASES)
def test_the_last_block_is_the_image_rows_of_a_block(texts: list[int], images: list[int], pictures: bool) -> None:
    torch.manual_seed(0)
    block, found = random_omnigen().layers[0], sequence(texts, images, pictures)
    hidden = torch.randn(len(texts), found.text + max(images), WIDTH, requires_grad=True)
    wanted = [hidden, *block.parameters()]
    whole, rows = run_block(block, hidden, found)[:, found.text :], run_last_block(block, hidden, found)
    assert (whole - rows).abs().max() < 1e-6 * whole.abs().max()
    upstream = torch.randn_like(rows)
    ours, expected = (torch.autograd.grad(result, wanted, upstream) for result in (rows, whole))
    for one, other in zip(ours, expected, strict=True):
        assert (one - other).abs().max() < 3e-6 * other.abs().max()


def test_rows_of_one_length_need_no_mask_and_input_pictures_only_the_texts() -> None:
    assert sequence([9], [16])[2:] == sequence([9, 9], [16, 16])[2:] == (None, None)
    assert sequence([4, 9], [16, 16]).text_mask is not None
    assert sequence([9, 9], [16, 4]).text_mask is None
    assert sequence([9, 9], [16, 4]).key_mask is not None
    with_pictures = sequence([5, 5], [16, 16], pictures=True)
    assert with_pictures.text_mask is not None
    assert with_pictures.key_mask is None


def test_fewer_key_heads_are_shared_by_neighbouring_query_heads() -> None:
    shared, full = (random_omnigen(num_key_value_heads=heads).layers[0] for heads in (2, 4))
    found, hidden = sequence([9], [16]), torch.randn(1, 26, WIDTH)
    full.load_state_dict(
        {**full.state_dict(), **{k: v for k, v in shared.state_dict().items() if "to_k" not in k and "to_v" not in k}}
    )
    with torch.no_grad():
        for name in ("to_k", "to_v"):
            weight = shared.get_submodule(f"self_attn.{name}").weight
            full.get_submodule(f"self_attn.{name}").weight.copy_(
                weight.view(2, 16, -1).repeat_interleave(2, 0).flatten(0, 1)
            )
        expected = run_block(full, hidden, found)
        assert (run_block(shared, hidden, found) - expected).abs().max() < 1e-5 * expected.abs().max()


def test_wide_weights_under_autocast_and_narrow_weights_give_nearly_the_same() -> None:
    torch.manual_seed(0)
    block, found, hidden = random_omnigen().layers[0], sequence([4, 9], [16, 16]), torch.randn(2, 26, WIDTH)
    with torch.no_grad():
        exact = run_block(block, hidden, found)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mixed = run_block(block, hidden, found)
            narrow_states = run_block(block, hidden.bfloat16(), found)
        narrow = run_block(block.to(torch.bfloat16), hidden.bfloat16(), found)
    assert mixed.dtype == torch.float32
    assert narrow.dtype == torch.bfloat16
    for rounded in (mixed, narrow_states, narrow):
        assert (rounded - exact).abs().max() < 0.03 * exact.abs().max()
