"""What `benchmarks.step` compares is the same step, and what it measures it measures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks.floors import operations
from benchmarks.omnigen import FULL, TINY, Case, a_batch, our_model, our_step, reference_step, tiny_denoiser
from benchmarks.step import full_steps, main, tiny_steps
from simpletuner.models.execution import Execution
from simpletuner.models.omnigen.family import OmniGen

CPU = torch.device("cpu")


@pytest.mark.parametrize("recompute", [False, True])
def test_both_steps_have_the_same_losses_while_they_learn(*, recompute: bool) -> None:
    case = Case(64, 2, recompute)
    batch = a_batch(case)
    ours = our_step(our_model(tiny_denoiser(), CPU, torch.float32), CPU, Execution(recompute=recompute))
    theirs = reference_step(tiny_denoiser(), CPU, recompute=recompute)
    losses = [(float(ours.run(batch)), float(theirs.run(batch))) for _ in range(4)]
    assert all(abs(one - other) < 1e-5 * other for one, other in losses)
    assert losses[-1][0] < losses[0][0]


def test_bodies_are_those_of_the_models() -> None:
    shapes = OmniGen().linears(tiny_denoiser())
    assert sum(shape.out_features * shape.in_features for shape in shapes) == TINY.blocks * TINY.block_weights
    assert FULL.blocks * FULL.block_weights == 3_623_878_656


def test_operations_are_those_of_the_issue() -> None:
    """121 TFLOP a step at 1024 px with all blocks recomputed, 84 without, about 26 at 512 px."""
    assert operations(FULL, Case(1024, 1)) == pytest.approx(121e12, rel=0.01)
    assert operations(FULL, Case(1024, 1, recompute=False)) == pytest.approx(84e12, rel=0.01)
    assert operations(FULL, Case(512, 1)) == pytest.approx(26e12, rel=0.02)


def test_figures_of_the_full_size_on_a_cpu() -> None:
    figures = full_steps(CPU, 1, [Case(64, 1)], "int8-quanto", blocks=1)
    found = figures["64px_batch_1_checkpointed"]
    assert found["steps_a_second"] > 0
    assert 0 < found["share_of_possible"] < 1.5
    assert found["peak_gigabytes"] is None


# What inductor imports, and how torch's compiler makes the context of a function.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.needs("g++")
@pytest.mark.long
def test_the_command(tmp_path: Path) -> None:
    file = tmp_path / "step.json"
    main(["--size", "tiny", "--rounds", "1", "--quick", "--json", str(file)])
    case = json.loads(file.read_text())["tiny"]["64px_batch_4_checkpointed"]
    assert case["largest_relative_loss_difference"] < 1e-5
    assert min(case["steps_to_reference"], case["compiled_steps_to_reference"]) > 0.5
    assert tiny_steps(1, [])["torch_threads"] >= 1
