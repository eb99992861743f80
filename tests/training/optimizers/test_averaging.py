"""Weights to learn with, and weights that were learned."""

from __future__ import annotations

import pytest
import torch

from simpletuner.training.optimizers import evaluating, keeps_average
from tests.training.optimizers.harness import Trained, same


@pytest.mark.parametrize("name", ["adamw_schedulefree", "adamw_schedulefree+aggressive"])
def test_the_learned_weights_are_there_for_the_block_and_the_live_ones_come_back_to_the_bit(name: str) -> None:
    trained = Trained(name)
    trained.train(5)
    live = trained.values()
    for _ in range(3):
        with evaluating(trained.optimizer):
            learned = trained.values()
            with evaluating(trained.optimizer):
                assert same(trained.values(), learned)
        assert same(trained.values(), live)
    assert not same(learned, live)
    assert keeps_average(trained.optimizer)


def test_looking_at_them_changes_no_step() -> None:
    looked, alone = Trained("adamw_schedulefree"), Trained("adamw_schedulefree")
    for _ in range(4):
        looked.train(1)
        looked.loss()
    alone.train(4)
    assert same(looked.values(), alone.values())


def test_the_learned_weights_are_the_average_of_the_iterates() -> None:
    trained = Trained("adamw_schedulefree", optimizer_config="weight_lr_power=0")
    iterates = []
    for _ in range(4):
        trained.train(1)
        iterates.append(trained.optimizer.state[trained.parameters["large"]]["z"].clone())
    with evaluating(trained.optimizer):
        learned = trained.values()["large"]
    assert torch.allclose(learned, torch.stack(iterates).mean(dim=0), atol=1e-6)


def test_the_aggressive_average_leans_on_later_weights() -> None:
    plain, leaning = Trained("adamw_schedulefree"), Trained("adamw_schedulefree+aggressive")
    for trained in (plain, leaning):
        trained.train(6)
    assert leaning.loss() < plain.loss()


def test_the_live_weights_come_back_after_an_error() -> None:
    trained = Trained("adamw_schedulefree")
    trained.train(3)
    live = trained.values()
    with pytest.raises(ZeroDivisionError), evaluating(trained.optimizer):
        1 / 0  # noqa: B018
    assert same(trained.values(), live)


@pytest.mark.parametrize("name", ["torch-adamw", "prodigy", "ao-adamw8bit"])
def test_for_others_there_is_one_set_of_weights(name: str) -> None:
    trained = Trained(name)
    trained.train(2)
    before = trained.values()
    with evaluating(trained.optimizer):
        assert same(trained.values(), before)
    assert not keeps_average(trained.optimizer)
