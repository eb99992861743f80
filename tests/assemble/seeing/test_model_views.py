"""Looking at a model leaves it, and the stream of random numbers, as they were."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch

from simpletuner.assemble.seeing.model_views import averaged, eyes_open, learned
from simpletuner.training.ema import Ema, EmaSettings
from tests.training.test_loop import engine


def test_inside_nothing_learns_and_outside_everything_goes_on() -> None:
    made = engine()
    made.model.train()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="in the middle"), eyes_open(made.model, nullcontext()):
        assert not made.model.training
        assert not torch.is_grad_enabled()
        torch.randn(3)
        raise RuntimeError("in the middle")
    assert made.model.training
    assert torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), before)


def test_inside_the_same_numbers_are_drawn_each_time() -> None:
    made = engine()
    drawn = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        with learned(made, 1.0):
            drawn.append(torch.randn(4))
    assert torch.equal(*drawn)


def test_the_average_is_in_place_and_the_weights_come_back() -> None:
    made = engine()
    ema = Ema(made.model.trainable(), EmaSettings(0.9), torch.device("cpu"))
    name, parameter = next(iter(made.model.trainable().items()))
    kept = parameter.detach().clone()
    ema.shadow[name].fill_(0.25)
    with averaged(made.model, ema, 1.0):
        assert bool((parameter == 0.25).all())
    assert torch.equal(parameter, kept)
