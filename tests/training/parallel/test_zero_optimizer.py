from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import Parameter

from simpletuner.training.parallel.pieces import Piece
from simpletuner.training.parallel.zero_optimizer import FlatState, Place


def two_weights() -> tuple[FlatState, dict[Tensor, dict[str, object]], Parameter, Parameter]:
    """A process that has the last value of a first weight, and all of a second one, in one flat copy."""
    first, second = Parameter(torch.zeros(2, 2)), Parameter(torch.zeros(3))
    flat = torch.zeros(5)
    kept: dict[Tensor, dict[str, object]] = {}
    places = {first: Place(flat, 0, 3, 1, first.shape), second: Place(flat, 1, 0, 3, second.shape)}
    return FlatState(kept, places), kept, first, second


def test_what_lies_beside_the_flat_copy_is_shown_by_weights() -> None:
    state, kept, first, second = two_weights()
    assert (len(state), list(state), state.get(first, {})) == (0, [], {})
    flat = next(iter(state._places.values())).flat
    kept[flat] = {"step": torch.tensor(3.0), "mean": torch.arange(5.0)}
    assert list(state) == [first, second]
    shown = state[first]["mean"]
    assert isinstance(shown, Piece)
    assert (shown.tolist(), shown.begin, shown.shape_of_whole) == ([0.0], 3, torch.Size((2, 2)))
    assert state[second]["mean"].tolist() == [1.0, 2.0, 3.0]
    assert float(state[second]["step"]) == 3.0


def test_whole_tensors_are_put_where_they_belong_and_numbers_beside() -> None:
    state, kept, first, second = two_weights()
    state[first] = {"step": torch.tensor(7.0), "mean": torch.tensor([[1.0, 2.0], [3.0, 4.0]])}
    state[second] = {"step": torch.tensor(7.0), "mean": torch.tensor([5.0, 6.0, 7.0])}
    (beside,) = kept.values()
    assert torch.equal(beside["mean"], torch.tensor([4.0, 5.0, 6.0, 7.0, 0.0]))  # type: ignore[arg-type]
    assert float(beside["step"]) == 7.0  # type: ignore[arg-type]
    assert state[first]["mean"].tolist() == [4.0]
    del state[first]
    assert not kept
