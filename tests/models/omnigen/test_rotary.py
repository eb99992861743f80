from __future__ import annotations

import pytest
import torch
from diffusers.models.embeddings import apply_rotary_emb
from torch import Tensor

from simpletuner.core.batch import Prompt
from simpletuner.models.omnigen.prompt import collate
from simpletuner.models.omnigen.rotary import RotaryStore, RotaryTables
from tests.models.omnigen.tiny_model import HEAD, random_omnigen

CPU = torch.device("cpu")


def store() -> RotaryStore:
    return RotaryStore(random_omnigen(num_layers=0).rope)


def tables(known: RotaryStore, texts: list[int], images: list[int]) -> RotaryTables:
    return known.tables(
        collate([Prompt(torch.ones(length, dtype=torch.int64)) for length in texts], CPU), tuple(images)
    )


def whole(found: RotaryTables) -> tuple[Tensor, Tensor]:
    """cos and sin, (B, S, D), as diffusers has them."""
    return found.cos[:, :, 0], torch.cat((found.sin, found.sin), dim=-1)[:, :, 0]


@pytest.mark.parametrize(
    ("texts", "images"),
    [
        ([7], [16]),
        ([7, 7], [16, 16]),
        ([7, 3], [16, 16]),
        ([7, 7], [16, 9]),
        ([5, 9], [4094, 4080]),
        ([5, 5], [4094, 12]),
        ([9, 9], [4090, 4090]),
    ],
)
def test_each_row_has_the_tables_that_diffusers_gives_it_alone(texts: list[int], images: list[int]) -> None:
    rope = random_omnigen(num_layers=0).rope
    cos, sin = whole(tables(store(), texts, images))
    for row, (text, image) in enumerate(zip(texts, images, strict=True)):
        length, before = text + 1 + image, max(texts) - text
        expected = rope(torch.empty(0), torch.arange(length)[None])
        row_cos, row_sin = (found[min(row, len(found) - 1), before : before + length] for found in (cos, sin))
        assert (row_cos - expected[0]).abs().max() < 1e-6
        assert (row_sin - expected[1]).abs().max() < 1e-6


def test_rows_without_padding_are_a_view_of_one_table_made_once() -> None:
    known = store()
    first, second = tables(known, [7, 7], [16, 16]), tables(known, [30], [64])
    assert first.cos.shape == (1, 24, 1, HEAD)
    assert second.sin.shape == (1, 95, 1, HEAD // 2)
    assert first.cos.data_ptr() == second.cos.data_ptr()
    tables(known, [5], [4100])
    assert len(known._known) == 2, "one table for short factors, one for long"


def test_tables_that_sampling_met_first_serve_training() -> None:
    known = store()
    with torch.inference_mode():
        tables(known, [5], [16])
    query = torch.randn(1, 22, 4, HEAD, requires_grad=True)
    tables(known, [5], [16]).rotate(query).sum().backward()
    assert query.grad is not None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_rotation_and_its_gradient_are_diffusers(dtype: torch.dtype) -> None:
    found = tables(store(), [7], [16])
    query, key = (torch.randn(2, 24, heads, HEAD, dtype=dtype, requires_grad=True) for heads in (4, 2))
    both = (whole(found)[0][0], whole(found)[1][0])
    ours = found.rotate(query), found.rotate(key)
    theirs = [
        apply_rotary_emb(states.transpose(1, 2), both, use_real_unbind_dim=-2).transpose(1, 2)
        for states in (query, key)
    ]
    upstream = [torch.randn(result.shape, dtype=dtype) for result in ours]
    gradients = [torch.autograd.grad(results, (query, key), upstream) for results in (ours, theirs)]
    within = 1e-6 if dtype == torch.float32 else 1e-2
    for one, other in zip((*ours, *gradients[0]), (*theirs, *gradients[1]), strict=True):
        assert one.dtype == dtype
        assert (one - other).abs().max() < within * other.abs().max()
