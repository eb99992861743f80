"""What a step tells of its loss: by noise level, and beside what it is held against."""

from __future__ import annotations

import pytest
import torch

from simpletuner.core.batch import Latents
from simpletuner.core.samples import SampleId, Update, Use
from simpletuner.core.seeds import generator
from simpletuner.diffusion.references.linear import LinearReference, Spectrum
from simpletuner.training.meter import BINS, Meter, by_bin

SIGMAS = (0.05, 0.5, 0.55, 0.97)
USES = tuple(Use(SampleId("d", name), 0) for name in "abcd")
UPDATE = Update("d", "1.0", USES)


def linear() -> LinearReference:
    found = Spectrum()
    for place in range(20):
        row = torch.randn(4, 6, 6, generator=generator("meter", place))
        found.add(Latents(row, torch.full_like(row, -60.0)))
    return LinearReference.of({(6, 6): found})


def meter(variance: float | None = 2.0, *, comparable: bool = True, side: int = 6) -> Meter:
    return Meter(variance, linear(), lambda _use: (side, side), lambda _name: comparable)


def test_losses_are_summed_by_bin() -> None:
    loss = torch.tensor([1.0, 2.0, 4.0, 8.0])
    assert by_bin(loss, torch.tensor(SIGMAS)).tolist() == [1, 0, 6, 0, 8]
    assert by_bin(loss, torch.tensor([0.0, 0.2, 1.0, 0.9999])).tolist() == [1, 2, 0, 0, 12]
    assert len(by_bin(loss, torch.tensor(SIGMAS))) == BINS


def test_bins_without_rows_are_left_out_and_the_others_are_means() -> None:
    told = meter().figures(UPDATE, SIGMAS, [1, 0, 6, 0, 8])
    assert {key: value for key, value in told.items() if key.startswith("loss/bin/")} == {
        "loss/bin/0": 1,
        "loss/bin/2": 3,
        "loss/bin/4": 8,
    }
    assert told["loss/explained"] == 1 - 15 / 4 / 2
    assert told["loss/explained/bin/2"] == 1 - 3 / 2


def test_the_linear_reference_is_taken_where_the_update_was() -> None:
    found, expected = meter(), linear()
    told = found.figures(UPDATE, SIGMAS, [1, 0, 6, 0, 8])
    values = [expected.at((6, 6), sigma) or 0.0 for sigma in SIGMAS]
    assert told["loss/linear_reference"] == pytest.approx(sum(values) / 4)
    assert "loss/linear_reference" not in meter(side=7).figures(UPDATE, SIGMAS, [1, 0, 6, 0, 8])


def test_another_loss_is_told_by_bin_only() -> None:
    told = meter(comparable=False).figures(UPDATE, SIGMAS, [1, 0, 6, 0, 8])
    assert set(told) == {"loss/bin/0", "loss/bin/2", "loss/bin/4"}


def test_without_latents_there_is_nothing_to_hold_it_against() -> None:
    unknown = Meter(None, None, lambda _use: (6, 6), lambda _name: True)
    assert set(unknown.figures(UPDATE, SIGMAS, [1, 0, 6, 0, 8])) == {"loss/bin/0", "loss/bin/2", "loss/bin/4"}
