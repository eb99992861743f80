from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import Parameter

from simpletuner.training.ema import Ema, EmaSettings
from simpletuner.training.parallel.pieces import Piece, cut_out, is_parted, join, of_parameter, piece, plain
from simpletuner.training.parallel.shards import copied, fill, gathered, is_shared, own, shared_like, values_of
from tests.training.parallel.test_sharded import in_two

WHOLE = torch.arange(6.0).reshape(2, 3)
CPU = torch.device("cpu")


def middle() -> Piece:
    """Three of the six values, from the third on."""
    return piece(WHOLE.flatten()[2:5].clone(), 2, WHOLE.shape)


def test_a_piece_is_its_values_and_what_is_computed_from_it_is_no_piece() -> None:
    held = middle()
    assert is_shared(held)
    assert (values_of(held), held.numel()) == (6, 3)
    assert type(held * 2) is torch.Tensor
    assert type(plain(held)) is torch.Tensor
    own(held).add_(10)
    assert held.tolist() == [12.0, 13.0, 14.0]
    assert cut_out(WHOLE, held).tolist() == [2.0, 3.0, 4.0]
    assert shared_like(WHOLE, held).tolist() == [2.0, 3.0, 4.0]
    fill(held, WHOLE)
    assert held.tolist() == [2.0, 3.0, 4.0]
    wide = copied(held, CPU, torch.float64)
    own(wide).zero_()
    assert isinstance(wide, Piece)
    assert (wide.dtype, wide.begin, held.tolist()) == (torch.float64, 2, [2.0, 3.0, 4.0])


def test_a_plain_tensor_is_its_own_part() -> None:
    parameter = Parameter(WHOLE.clone())
    assert not is_shared(parameter)
    assert not is_parted(parameter)
    assert values_of(parameter) == 6
    own(parameter).zero_()
    assert not parameter.any()
    fill(parameter, WHOLE)
    assert torch.equal(parameter, WHOLE)
    assert torch.equal(gathered({"a": parameter}, keep=True)["a"], WHOLE)


def look(rank: int, _folder: Path) -> dict[str, Any]:
    """Two processes with four and two of six values; one of them is a zero with a sign."""
    whole = torch.tensor([[1.0, -0.0, 3.0], [float("nan"), 5e-45, 6.0]])
    cut = slice(0, 4) if rank == 0 else slice(4, 6)
    held = piece(whole.flatten()[cut].clone(), cut.start, whole.shape)
    nobodys = piece(torch.empty(0), 0, torch.Size((2,)))
    parameter = Parameter(torch.empty(0))
    parameter.ds_tensor, parameter.ds_shape = torch.arange(4.0) + 4 * rank, torch.Size((7,))  # type: ignore[attr-defined]
    average = Ema({"w": parameter}, EmaSettings(decay=0.5), CPU)
    own(parameter).add_(1)
    average.update(1)
    with average.applied():
        inside = join(of_parameter(parameter)).tolist()
    return {
        "is_same": torch.equal(join(held).view(torch.int32), whole.view(torch.int32)),
        "nobodys": join(nobodys).tolist(),
        "parameter": gathered({"w": parameter}, keep=True)["w"].tolist(),
        "parts": [is_shared(parameter), values_of(parameter), own(parameter).numel()],
        "average": inside,
        "shadow": type(average.shadow["w"]).__name__,
    }


@pytest.mark.two_ranks
def test_pieces_join_to_the_bit_and_an_average_of_them_is_one_of_pieces(tmp_path: Path) -> None:
    first, second = in_two(look, tmp_path)
    assert first["is_same"]
    assert first["nobodys"] == [0.0, 0.0]
    assert first["parameter"] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    assert (first.pop("parts"), second.pop("parts")) == ([True, 7, 4], [True, 7, 3])
    assert first["average"] == first["parameter"], "the first update copies"
    assert first == second
    assert first["shadow"] == "Piece"
