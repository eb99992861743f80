"""The same pictures at the same noise, whoever computes them and however they are sliced."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from simpletuner.core.batch import Batch, Prompt
from simpletuner.core.errors import OutOfMemory
from simpletuner.core.events import Event, StageProgress
from simpletuner.core.ranks import Ranks
from simpletuner.core.samples import SampleId, Use
from simpletuner.core.seeds import generator
from simpletuner.diffusion.flow import mix, velocity
from simpletuner.validation.loss.held_out import STAGE, Bench, Measured, scalars, spread

SIGMAS = (0.2, 0.5, 0.7, 0.9, 0.95)
SAMPLES = tuple(SampleId("faces", f"{number}.png") for number in range(5))


def batch(uses: Sequence[Use]) -> Batch:
    """Pictures and noise keyed by the use, and sigmas that must not be used."""

    def drawn(purpose: str) -> Tensor:
        rows = [torch.randn(1, 2, 3, generator=generator(use.sample, use.visit, purpose)) for use in uses]
        return torch.stack(rows)

    nothing = torch.full((len(uses),), float("nan"))
    prompts = tuple(Prompt(torch.zeros(1, dtype=torch.int64)) for _ in uses)
    return Batch(tuple(uses), drawn("latents"), drawn("noise"), nothing, prompts)


def losses(made: Batch) -> Tensor:
    """Of a model that answers with what it is shown."""
    shown = mix(made.latents, made.noise, made.sigma)
    return (shown - velocity(made.latents, made.noise)).square().flatten(1).mean(dim=1)


BENCH = Bench(SIGMAS, batch, losses, rows=2)


def measure(bench: Bench) -> Tensor:
    return bench.measure(SAMPLES, nullcontext, "evaluating", lambda _event: None)


def test_each_picture_is_measured_at_each_sigma_with_noise_of_its_own() -> None:
    found = measure(BENCH)
    assert found.shape == (5, 5)
    for row, sample in enumerate(SAMPLES):
        for column, sigma in enumerate(SIGMAS):
            alone = replace(batch([Use(sample, column)]), sigma=torch.tensor([sigma]))
            assert torch.allclose(found[row, column], losses(alone).double(), rtol=1e-6)
    assert len(set(found.flatten().tolist())) == 25


def test_it_repeats_whatever_was_drawn_between_and_draws_nothing_itself() -> None:
    first, state = measure(BENCH), torch.get_rng_state()
    assert torch.equal(measure(BENCH), first)
    assert torch.equal(torch.get_rng_state(), state)


def test_slices_do_not_matter() -> None:
    assert torch.allclose(measure(replace(BENCH, rows=100)), measure(BENCH), rtol=1e-6)


def test_several_processes_make_the_same_numbers() -> None:
    for count in (2, 3, 7):
        shares = [measure(replace(BENCH, ranks=Ranks(rank, count))) for rank in range(count)]
        assert torch.equal(torch.stack(shares).sum(dim=0), measure(BENCH))


def test_processes_that_hold_the_model_together_make_as_many_passes() -> None:
    made: list[int] = []

    def counting(uses: Sequence[Use]) -> Batch:
        made.append(len(uses))
        return batch(uses)

    found = torch.zeros(5, 5, dtype=torch.float64)
    passes = []
    for rank in range(3):
        made.clear()
        found += measure(replace(BENCH, batch=counting, ranks=Ranks(rank, 3), in_step=True))
        passes.append(len(made))
    assert passes == [6, 6, 6]
    assert torch.equal(found, measure(BENCH))


@pytest.mark.parametrize(
    ("error", "told"),
    [(torch.OutOfMemoryError("CUDA out of memory.\npages"), OutOfMemory), (RuntimeError("a bug"), RuntimeError)],
)
def test_memory_that_runs_out_is_named_in_all_processes_at_once(error: Exception, told: type[Exception]) -> None:
    """What fails in one is heard in all before they put together what they found."""
    heard: list[Exception] = []

    @contextmanager
    def together() -> Iterator[None]:
        try:
            yield
        except Exception as failed:
            heard.append(failed)
            raise

    def hungry(made: Batch) -> Tensor:
        raise error

    def never(values: Tensor) -> Tensor:
        raise AssertionError("there is nothing to put together")

    with pytest.raises(told):
        measure(replace(BENCH, losses=hungry, sum=never, together=together))
    assert [type(one) for one in heard] == [told]
    if told is OutOfMemory:
        assert str(heard[0]) == ("evaluating: no memory for a picture at 2 of 5 noise levels: CUDA out of memory.")


def test_weights_are_in_place_while_it_measures_and_it_tells_how_far_it_is() -> None:
    inside: list[bool] = []

    @contextmanager
    def weights() -> Iterator[None]:
        inside.append(True)
        yield
        inside.append(False)

    def seen(made: Batch) -> Tensor:
        assert inside == [True]
        return losses(made)

    told: list[Event] = []
    replace(BENCH, losses=seen).measure(SAMPLES, weights, "evaluating faces", told.append)
    assert inside == [True, False]
    assert told[-1] == StageProgress(STAGE, "evaluating faces", 5, 5)


def test_a_table_is_told_by_picture_and_by_sigma() -> None:
    table = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
    assert Measured.of(table) == Measured((1.5, 4.5), (2.0, 4.0))
    assert scalars("loss/val/faces", (0.25, 0.75), (2.0, 4.0)) == {
        "chart/loss/val/faces/0.250": 2.0,
        "chart/loss/val/faces/0.750": 4.0,
    }


def test_a_part_of_the_pictures_is_spread_over_all_in_a_fixed_order() -> None:
    shuffled = {"faces": SAMPLES[::-1], "none": ()}
    assert spread(shuffled, None) == {"faces": SAMPLES}
    assert spread(shuffled, 2) == {"faces": (SAMPLES[0], SAMPLES[2])}
    assert spread(shuffled, 50) == {"faces": SAMPLES}
