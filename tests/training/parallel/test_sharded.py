"""Weights in parts, in two processes that are copies of one: what each holds, and what an update makes of it."""

from __future__ import annotations

import json
import multiprocessing
import socket
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch.distributed.fsdp import FSDPModule

from simpletuner.config.optimizers.names import SHARDS
from simpletuner.config.sections.optimizer import OptimizerConfig
from simpletuner.core.batch import Prompt
from simpletuner.core.samples import SampleId, Update, Use
from simpletuner.models.execution import Execution
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.training.gradients import clip, measure
from simpletuner.training.model import TrainedModel
from simpletuner.training.optimizers import build_optimizer, set_rate
from simpletuner.training.parallel.processes import Processes
from simpletuner.training.parallel.replicas import Replicas
from simpletuner.training.parallel.sharded import Sharded, ShardSettings, held_bytes, shard
from simpletuner.training.parallel.shards import complete
from simpletuner.training.state import load_optimizer, save_optimizer
from tests.models.omnigen.tiny_model import random_omnigen

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["simpletuner.cli.train", "tests.runs.company"])


def whole_model() -> TrainedModel:
    """A small model all of whose weights train; the same in every process."""
    torch.manual_seed(3)
    denoiser = random_omnigen(num_layers=2)
    OmniGen().configure(denoiser, Execution(recompute=True))
    denoiser.requires_grad_(requires_grad=True)
    return TrainedModel(OmniGen(), denoiser, None).train()


def backward(model: TrainedModel, rows: slice) -> None:
    """The gradients of a loss over some of four rows; none of them is zero times the loss of the first."""
    draws = torch.Generator().manual_seed(5)
    noisy, sigma = torch.randn(4, 4, 4, 4, generator=draws), torch.rand(4, generator=draws)
    prompts = [Prompt(torch.arange(3, 6 + row)) for row in range(4)]
    counts = len(range(*rows.indices(4)))
    kept = rows if counts else slice(0, 1)
    velocity = model(noisy[kept], sigma[kept], prompts[kept])
    (velocity.square().flatten(1).mean(1).sum() / 4 * bool(counts)).backward()


def shared_model(rank: int) -> tuple[TrainedModel, Sharded]:
    model = whole_model()
    return model, shard(model, Replicas(torch.device("cpu"), Processes(rank, 2, dist.HashStore())), ShardSettings())


def look(rank: int, _folder: Path) -> dict[str, Any]:
    """What two processes hold and measure after a backward pass of four rows, then of three rows and none."""
    model, parallel = shared_model(rank)
    found: dict[str, Any] = {"bytes": held_bytes(model), "units": [type(unit).__name__ for unit in parallel.units]}
    found["is_wrapped"] = [isinstance(module, FSDPModule) for module in (*model.denoiser.layers, model)]
    for name, share in (("even", slice(2 * rank, 2 * rank + 2)), ("uneven", slice(0, 3) if rank else slice(0))):
        model.zero_grad(set_to_none=True)
        backward(model, share)
        parameters = list(model.trainable().values())
        parallel.sum_gradients(parameters)
        size = parallel.whole_size(measure(parameters))
        clip(parameters, "norm", size.norm / 2, size)
        clipped = parallel.whole_size(measure(parameters))
        found[name] = (size.norm, size.absmax, clipped.norm)
        grad = model.trainable()["denoiser.layers.1.mlp.down_proj.weight"].grad
        assert grad is not None
        found[f"{name} sum"] = float(complete(grad).double().sum())
    return found


def train_each(names: Sequence[str], rank: int, folder: Path) -> dict[str, Any]:
    """Three updates with each optimizer, its state in a file, and where the weights are after one more from there."""
    found = {}
    for name in names:
        model, _ = shared_model(rank)
        parameters = model.trainable()
        optimizer = build_optimizer(settings(name), parameters.values(), 7, 1e-3)
        for _ in range(3):
            update(model, optimizer, slice(2 * rank, 2 * rank + 2))
        save_optimizer(optimizer, parameters, folder / f"{name}.safetensors" if rank == 0 else None)
        whole = {key: complete(value.detach()) for key, value in parameters.items()}
        if rank == 0:
            save_file(whole, folder / f"{name}-weights.safetensors")
        # And back, from one file, into parts.
        load_optimizer(optimizer, parameters, folder_file(folder, name))
        update(model, optimizer, slice(2 * rank, 2 * rank + 2))
        found[name] = float(complete(parameters["denoiser.proj_out.weight"].detach()).double().sum())
    return found


def folder_file(folder: Path, name: str) -> Path:
    """The state of an optimizer, once it is written."""
    dist.barrier()
    return folder / f"{name}.safetensors"


def settings(name: str) -> OptimizerConfig:
    return OptimizerConfig(optimizer=name, learning_rate=1e-3)  # type: ignore[arg-type]


def update(model: TrainedModel, optimizer: torch.optim.Optimizer, rows: slice) -> None:
    optimizer.zero_grad(set_to_none=True)
    backward(model, rows)
    set_rate(optimizer, 1e-3)
    optimizer.step()


def _be(act: Any, rank: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    (Path(folder) / f"{rank}.json").write_text(json.dumps(act(rank, Path(folder))))
    dist.barrier()
    dist.destroy_process_group()


def in_two(act: Any, folder: Path) -> list[dict[str, Any]]:
    """What ``act`` gives in each of two processes."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    processes = [_CONTEXT.Process(target=_be, args=(act, rank, port, str(folder))) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.two_ranks
def test_each_holds_half_and_both_measure_what_one_measures(tmp_path: Path) -> None:
    model = whole_model()
    whole = held_bytes(model)
    first, second = in_two(look, tmp_path)
    for found in (first, second):
        assert found["is_wrapped"] == [True, True, True]
        assert 0.49 * whole < found["bytes"] < 0.52 * whole
    assert first["even"] == second["even"]
    assert first["bytes"] + second["bytes"] == whole
    for name, rows in (("even", slice(0, 4)), ("uneven", slice(0, 3))):
        model.zero_grad(set_to_none=True)
        backward(model, rows)
        size = measure(list(model.trainable().values()))
        assert first[name] == pytest.approx([size.norm, size.absmax, size.norm / 2], rel=1e-5)
        grad = model.trainable()["denoiser.layers.1.mlp.down_proj.weight"].grad
        assert grad is not None
        assert first[f"{name} sum"] == pytest.approx(float(grad.double().sum()) / 2, rel=1e-4), "it is clipped by half"


@pytest.mark.two_ranks
@pytest.mark.parametrize(
    "names", [("adamw_bf16", "adamw_schedulefree"), pytest.param(tuple(sorted(SHARDS)), marks=pytest.mark.long)]
)
def test_optimizers_move_parts_as_they_move_whole_weights(tmp_path: Path, names: tuple[str, ...]) -> None:
    first, second = in_two(partial(train_each, names), tmp_path)
    assert first == second
    assert tuple(first) == names
    for name in names:
        model = whole_model()
        optimizer = build_optimizer(settings(name), model.trainable().values(), 7, 1e-3)
        for _ in range(3):
            update(model, optimizer, slice(0, 4))
        shared = load_file(tmp_path / f"{name}-weights.safetensors")
        for key, value in model.trainable().items():
            assert (shared[key] - value.detach()).abs().max() < 2e-5, (name, key)
        # One process goes on from the file of two.
        load_optimizer(optimizer, model.trainable(), tmp_path / f"{name}.safetensors")
        update(model, optimizer, slice(0, 4))
        assert float(model.trainable()["denoiser.proj_out.weight"].detach().double().sum()) == pytest.approx(
            first[name], abs=1e-3
        )


def test_a_process_without_samples_computes_one_that_does_not_count() -> None:
    uses = tuple(Use(SampleId("d", name), 0) for name in "ab")
    shared = Sharded(torch.device("cpu"), Processes(1, 2))
    assert shared.passes([uses[1:], ()], Update("d", "1.0", uses)) == [(uses[1:], True), (uses[:1], False)]
    assert shared.is_sharded
