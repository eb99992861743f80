"""What an update tells of its rows."""

from __future__ import annotations

import pytest
import torch

from simpletuner.training.objectives.terms import RowTerms, figures


def test_sums_of_parts_are_the_sums_of_the_whole() -> None:
    loss, rolled, drift = torch.rand(3, 6), torch.tensor([0.0, 1, 1, 0, 0, 1]), torch.rand(6)
    whole = RowTerms(loss[0], rolled, drift)
    parts = [RowTerms(loss[0][part], rolled[part], drift[part]) for part in (slice(0, 2), slice(2, 6))]
    assert torch.allclose(whole.sums(), sum(part.sums() for part in parts) + torch.zeros(4))
    told = figures(whole.sums().tolist(), 6)
    assert told["scheduled_sampling/share"] == pytest.approx(0.5)
    assert told["scheduled_sampling/loss"] == pytest.approx(loss[0][[1, 2, 5]].mean().item())
    assert told["scheduled_sampling/drift"] == pytest.approx(drift.sum().item() / 3)


def test_without_a_roll_out_there_is_only_its_share() -> None:
    assert figures([3.0, 0.0, 0.0, 0.0], 4) == {"scheduled_sampling/share": 0}


def test_nothing_keeps_the_graph_alive() -> None:
    value = torch.ones(2, requires_grad=True)
    kept = RowTerms(value * 2, torch.zeros(2), value * 3).detach()
    assert not kept.loss.requires_grad
    assert not kept.drift.requires_grad
