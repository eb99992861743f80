"""A whole training step: ours beside diffusers' model under LyCORIS's default, or the full size alone on a card.

``python -m benchmarks.step --size tiny [--json FILE]`` compares on this machine;
``python -m benchmarks.step --size full --device cuda [--json FILE]`` measures the full size with random weights.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from benchmarks.floors import floors_of, operations
from benchmarks.omnigen import (
    FULL,
    TINY,
    Case,
    Step,
    a_batch,
    full_denoiser,
    our_model,
    our_step,
    quantised,
    reference_step,
    tiny_denoiser,
)
from benchmarks.report import a_parser, card, log_to_screen, measure_all
from benchmarks.timing import Figures, alternated, ratio, repeated
from simpletuner.models.execution import Compile, Execution
from simpletuner.training.model import TrainedModel

TINY_CASES = (Case(64, 24), Case(64, 4), Case(64, 4, recompute=False), Case(128, 8), Case(256, 4))
FULL_CASES = tuple(
    Case(edge, batch, recompute) for edge in (512, 1024) for batch in (1, 2, 4, 6) for recompute in (True, False)
)
FORMATS = ("no_change", "int8-quanto", "int8-torchao", "nf4-bnb", "fp8-torchao")
_CPU = torch.device("cpu")
_log = logging.getLogger("benchmarks")


def tiny_steps(rounds: int, cases: Sequence[Case] = TINY_CASES) -> Figures:
    """Each case: seconds of our step and of the reference's, in turn, and how far their losses are apart."""
    return {"torch_threads": torch.get_num_threads(), **{case.name: _compared(case, rounds) for case in cases}}


def _compared(case: Case, rounds: int) -> Figures:
    _log.info("tiny %s ...", case.name)
    batch = a_batch(case)
    ours, compiled = (_our_tiny(Execution(recompute=case.recompute, compiled=how)) for how in (None, Compile()))
    reference = reference_step(tiny_denoiser(), _CPU, recompute=case.recompute)
    losses = [(float(ours.run(batch)), float(reference.run(batch))) for _ in range(3)]
    works = {"ours": ours, "reference": reference, "compiled": compiled}
    taken = alternated({name: partial(step.run, batch) for name, step in works.items()}, rounds, warm_up=1)
    rate = floors_of(_CPU, torch.float32).rate
    return {
        **taken["ours"].figures("our_seconds"),
        **taken["reference"].figures("reference_seconds"),
        **taken["compiled"].figures("our_compiled_seconds"),
        "steps_to_reference": ratio(taken["reference"], taken["ours"]),
        "compiled_steps_to_reference": ratio(taken["reference"], taken["compiled"]),
        "floor_seconds": operations(TINY, case) / rate,
        "losses": losses,
        "largest_relative_loss_difference": max(abs(one - other) / other for one, other in losses),
    }


def _our_tiny(execution: Execution) -> Step:
    return our_step(our_model(tiny_denoiser(), _CPU, torch.float32), _CPU, execution)


def full_steps(device: torch.device, rounds: int, cases: Sequence[Case], preset: str, blocks: int) -> Figures:
    """Each case in bf16 under the document's LoKr: iterations a second, the floor beside them, and peak memory."""
    denoiser = quantised(full_denoiser(device, torch.bfloat16, blocks), preset, device)
    model = our_model(denoiser, device, torch.bfloat16)
    floors = floors_of(device, torch.bfloat16)
    body = FULL.of(blocks)
    measured = {case.name: _alone(case, model, floors.rate / operations(body, case), rounds) for case in cases}
    return {"floors": floors.figures(), "blocks": blocks, **measured}


def _alone(case: Case, model: TrainedModel, possible: float, rounds: int) -> Figures:
    """``possible`` are the steps a second that the measured rate of products allows."""
    _log.info("full %s ...", case.name)
    device = next(model.adapter.parameters()).device if model.adapter else _CPU
    try:
        return _measured(case, model, device, possible, rounds)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return {"out_of_memory": True}


def _measured(case: Case, model: TrainedModel, device: torch.device, possible: float, rounds: int) -> Figures:
    step, batch = our_step(model, device, Execution(recompute=case.recompute)), a_batch(case)
    card: Any = torch.cuda if device.type == "cuda" else None
    if card:
        card.reset_peak_memory_stats(device)

    def run() -> None:
        step.run(batch)
        if card:
            card.synchronize(device)

    run()
    run()
    taken = repeated(run, rounds)
    return {
        **taken.figures("seconds"),
        "steps_a_second": 1 / taken.median,
        "share_of_possible": 1 / taken.median / possible,
        "peak_gigabytes": card.max_memory_allocated(device) / 1e9 if card else None,
    }


def main(words: Sequence[str] | None = None) -> None:
    """Read the command line, measure, write."""
    given = _parser().parse_args(words)
    log_to_screen()
    if given.threads:
        torch.set_num_threads(given.threads)
    measure_all(_works(given), given.json, **card(torch.device(given.device)))


def _works(given: argparse.Namespace) -> dict[str, Callable[[], Figures]]:
    """What is measured, by the name of its figures."""
    if given.size == "tiny":
        return {"tiny": partial(tiny_steps, given.rounds, TINY_CASES[1:2] if given.quick else TINY_CASES)}
    device, cases = torch.device(given.device), FULL_CASES[:1] if given.quick else FULL_CASES
    return {
        f"full_{name}": partial(full_steps, device, given.rounds, cases, name, given.blocks) for name in given.formats
    }


def _parser() -> argparse.ArgumentParser:
    parser = a_parser("step", __doc__)
    add = parser.add_argument
    add("--size", choices=("tiny", "full"), default="tiny", help="the bundled model, or OmniGen v1's size (tiny)")
    add("--device", default="cpu", help="where the full size runs: cuda, or cpu for a few blocks (cpu)")
    add("--formats", nargs="+", default=["no_change"], choices=FORMATS, help="base_model_precision (no_change)")
    add("--blocks", type=int, default=32, help="blocks of the full size (32)")
    add("--rounds", type=int, default=9, help="steps of each kind; medians are told (9)")
    add("--threads", type=int, help="torch's threads (OMP_NUM_THREADS, else one a core)")
    add("--quick", action="store_true", help="one case only, to see that it works")
    return parser


if __name__ == "__main__":
    main()
