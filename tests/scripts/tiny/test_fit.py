"""The makers' training loop goes on where it was interrupted."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from scripts.tiny.fit import Schedule, fit, new_trainee
from scripts.tiny.fit_state import Progress, Trainee, load_state, save_state

AT_ONCE = Schedule(minutes=0.004, learning_rate=1e-2, warmup_steps=1)
"""A quarter of a second."""


def fresh() -> Trainee[nn.Linear]:
    torch.manual_seed(0)
    return new_trainee(nn.Linear(3, 2), seed=1)


def distance(trainee: Trainee[nn.Linear]) -> Tensor:
    inputs = torch.randn(8, 3, generator=trainee.generator)
    return (trainee.network(inputs) - inputs[:, :2]).square().mean()


def trained(folder: Path) -> tuple[Trainee[nn.Linear], Progress]:
    trainee = fresh()
    progress = fit(AT_ONCE, trainee, folder / "state.safetensors", lambda _: distance(trainee), lambda _: "")
    return trainee, progress


def test_it_learns_and_the_average_follows(tmp_path: Path) -> None:
    before = distance(fresh()).item()
    trainee, progress = trained(tmp_path)
    assert progress.steps > 20
    assert distance(trainee).item() < 0.5 * before
    assert not torch.equal(trainee.average.weight, fresh().average.weight)
    assert not trainee.average.weight.requires_grad


def test_the_stored_state_restores_weights_moments_and_random_numbers(tmp_path: Path) -> None:
    trainee, progress = trained(tmp_path)
    again = fresh()
    assert load_state(tmp_path / "state.safetensors", again) == progress
    for one, other in zip(trainee.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(one, other)
        for name, moment in trainee.optimizer.state[one].items():
            assert torch.equal(moment, again.optimizer.state[other][name])
    assert torch.equal(trainee.average.weight, again.average.weight)
    assert torch.equal(torch.rand(3, generator=trainee.generator), torch.rand(3, generator=again.generator))


def test_a_finished_fit_takes_no_further_step(tmp_path: Path) -> None:
    _, progress = trained(tmp_path)
    _, again = trained(tmp_path)
    assert again == progress


def test_half_a_state_never_stands_in_the_place_of_a_whole_one(tmp_path: Path) -> None:
    trainee, progress = trained(tmp_path)
    save_state(tmp_path / "state.safetensors", trainee, progress)
    assert [path.name for path in tmp_path.iterdir()] == ["state.safetensors"]


def test_the_rate_warms_up_and_falls_to_a_hundredth() -> None:
    schedule = Schedule(minutes=1.0, learning_rate=1.0, warmup_steps=10)
    assert schedule.rate(Progress(0, 0.0)) == 0.1
    assert schedule.rate(Progress(50, 0.0)) == 1.0
    assert schedule.rate(Progress(50, 30.0)) == 0.5
    assert schedule.rate(Progress(50, 60.0)) == 0.01
