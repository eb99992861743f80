"""DeepSpeed's ZeRO in two processes: what each holds, and that an update moves weights as one process moves them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import Tensor

from simpletuner.config.optimizers.names import ZEROES
from simpletuner.core.batch import Prompt
from simpletuner.core.errors import ConfigError
from simpletuner.training.gradients import clip, measure
from simpletuner.training.model import TrainedModel
from simpletuner.training.objectives.predict import Predict
from simpletuner.training.optimizers import build_optimizer, set_rate
from simpletuner.training.parallel.pieces import is_parted
from simpletuner.training.parallel.processes import Processes
from simpletuner.training.parallel.replicas import Replicas
from simpletuner.training.parallel.sharded import held_bytes
from simpletuner.training.parallel.shards import complete
from simpletuner.training.parallel.zero import NotInForceError, Zero, ZeroSettings, load_deepspeed, share_out
from simpletuner.training.parallel.zero_optimizer import ZeroOptimizer
from simpletuner.training.state import load_optimizer, save_optimizer
from tests.training.parallel.test_sharded import folder_file, in_two, settings, whole_model

needs = pytest.mark.needs("deepspeed")

# No gradient ever reaches it here: an optimizer of one process leaves it alone, one of several decays it.
UNUSED = "denoiser.patch_embedding.input_image_proj"


def loss_of(predict: Predict, row: int) -> Tensor:
    """A quarter of what one of four rows costs."""
    draws = torch.Generator().manual_seed(5)
    noisy, sigma = torch.randn(4, 4, 4, 4, generator=draws), torch.rand(4, generator=draws)
    velocity = predict(noisy[row : row + 1], sigma[row : row + 1], [Prompt(torch.arange(3, 6 + row))], None)
    return velocity.square().mean() / 4


def replicas(rank: int) -> Replicas:
    return Replicas(torch.device("cpu"), Processes(rank, 2, dist.HashStore()))


def cut(name: str, stage: int, rank: int) -> tuple[TrainedModel, Zero, ZeroOptimizer]:
    model = whole_model()
    optimizer = build_optimizer(settings(name), model.trainable().values(), 7, 1e-3)
    return model, *share_out(model, optimizer, replicas(rank), ZeroSettings(stage))


def update(model: TrainedModel, together: Replicas, optimizer: torch.optim.Optimizer, rows: Sequence[int]) -> Any:
    """One update over ``rows``, each a micro-batch, clipped by half; the size of its gradients."""
    optimizer.zero_grad(set_to_none=True)
    for row in rows:
        with together.micro_batch(is_last=row == rows[-1]):
            together.backward(loss_of(together.computing(model), row))
    parameters = list(model.trainable().values())
    together.sum_gradients(parameters)
    held = together.held(parameters)
    size = together.whole_size(measure(held))
    clip(held, "norm", size.norm / 2, size)
    set_rate(optimizer, 1e-3)
    optimizer.step()
    return size.norm, size.absmax


def train_each(names: Sequence[str], stage: int, rank: int, folder: Path) -> dict[str, Any]:
    """Two updates with each optimizer, its state in a file, and where the weights are after one more from there."""
    found: dict[str, Any] = {}
    for name in names:
        model, together, optimizer = cut(name, stage, rank)
        parameters = model.trainable()
        rows = (2 * rank, 2 * rank + 1)
        found["parted"] = [is_parted(parameter) for parameter in parameters.values()]
        found["bytes"] = held_bytes(model)
        found["line"] = together.line()
        found["gradients"] = [update(model, together, optimizer, rows) for _ in range(2)]
        # An update that does not move leaves nothing behind.
        for row in rows:
            with together.micro_batch(is_last=row == rows[-1]):
                together.backward(loss_of(together.computing(model), row) * 100)
        optimizer.zero_grad(set_to_none=True)
        save_optimizer(optimizer, parameters, folder / f"{name}.safetensors" if rank == 0 else None)
        whole = {key: complete(value) for key, value in parameters.items()}
        if rank == 0:
            save_file(whole, folder / f"{name}-weights.safetensors")
        optimizer.state.clear()
        load_optimizer(optimizer, parameters, folder_file(folder, name))
        update(model, together, optimizer, rows)
        found[name] = float(complete(parameters["denoiser.proj_out.weight"]).double().sum())
    return found


@needs
@pytest.mark.two_ranks
@pytest.mark.parametrize(
    ("stage", "names"),
    [
        (1, ("torch-adamw",)),
        (2, ("adamw_bf16",)),
        (3, ("torch-adamw",)),
        pytest.param(2, tuple(sorted(ZEROES)), marks=pytest.mark.long),
        pytest.param(3, ("optimi-adan", "torch-adagrad", "torch-nadam"), marks=pytest.mark.long),
    ],
)
def test_an_update_is_that_of_one_process_and_one_goes_on(tmp_path: Path, stage: int, names: tuple[str, ...]) -> None:
    first, second = in_two(partial(train_each, names, stage), tmp_path)
    whole = held_bytes(whole_model())
    assert all(first["parted"]) == (stage == 3)
    assert first["bytes"] + second["bytes"] == (whole if stage == 3 else 2 * whole)
    assert f"stage {stage}" in first["line"]
    for name in names:
        alone, model = Replicas(torch.device("cpu")), whole_model()
        optimizer = build_optimizer(settings(name), model.trainable().values(), 7, 1e-3)
        sizes = [update(model, alone, optimizer, range(4)) for _ in range(2)]
        if name == names[-1]:
            assert first["gradients"] == second["gradients"]
            assert [list(size) for size in sizes] == [pytest.approx(size, rel=1e-4) for size in first["gradients"]]
        shared = load_file(tmp_path / f"{name}-weights.safetensors")
        for key, value in model.trainable().items():
            if not key.startswith(UNUSED):
                assert (shared[key] - value.detach()).abs().max() < 2e-5, (name, key)
        load_optimizer(optimizer, model.trainable(), tmp_path / f"{name}.safetensors")
        update(model, alone, optimizer, range(4))
        assert first[name] == second[name]
        found = float(model.trainable()["denoiser.proj_out.weight"].detach().double().sum())
        assert found == pytest.approx(first[name], abs=1e-3), name


def another(rank: int, _folder: Path) -> dict[str, Any]:
    """One process says that there are three."""
    model = whole_model()
    optimizer = build_optimizer(settings("torch-adamw"), model.trainable().values(), 7, 1e-3)
    wrong = Replicas(torch.device("cpu"), Processes(rank, 3, dist.HashStore()))
    with pytest.raises(NotInForceError, match=r"stage 2, 3 processes, and what runs is .*stage 2, 2 processes"):
        share_out(model, optimizer, wrong, ZeroSettings(2))
    return {"raised": True}


@needs
@pytest.mark.two_ranks
@pytest.mark.long
def test_what_is_asked_for_and_not_in_force_is_an_error(tmp_path: Path) -> None:
    assert all(found["raised"] for found in in_two(another, tmp_path))


def test_without_the_package_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    monkeypatch.setenv("LOCAL_RANK", "0")
    # So Python itself notes that a module is not to be found.
    monkeypatch.setitem(sys.modules, "deepspeed", None)
    with pytest.raises(ConfigError, match=r"(?s)deepspeed_config: the package 'deepspeed' is not.*'\.\[deepspeed\]'"):
        load_deepspeed(torch.device("cpu"))
