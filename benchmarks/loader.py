"""What making micro-batches costs beside a training step of the tiny model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

from benchmarks.setting import Setting
from benchmarks.start import quiet
from benchmarks.timing import Figures, alternated
from benchmarks.trees import photos, write_run
from simpletuner.assemble.data.datasets import Sources, TrainingData, prepare_data
from simpletuner.assemble.parts import load_codec
from simpletuner.assemble.stage import Stage, ranks_of, set_stage
from simpletuner.assemble.training.network import build_model
from simpletuner.assemble.weights import choose_weights
from simpletuner.core.samples import Use
from simpletuner.models.family import TextReader
from simpletuner.training import draws
from simpletuner.training.batches import BatchMaker
from simpletuner.training.model import TrainedModel
from simpletuner.training.step import row_losses

_CASES = ((64, 24), (64, 4), (64, 1), (256, 4))
"""Edge in px and micro-batch; 64 px and 24 are the bundled example's."""


@dataclass
class _Bench:
    """The data, model and micro-batches of one case; ``at`` walks through the epoch."""

    data: TrainingData
    batches: BatchMaker
    model: TrainedModel
    slices: list[Sequence[Use]]
    at: int = 0

    def uses(self) -> Sequence[Use]:
        """The next micro-batch of the epoch."""
        self.at = (self.at + 1) % len(self.slices)
        return self.slices[self.at]

    def plan(self) -> None:
        """An empty loop over an epoch: every update is made and cut, and no more."""
        for update in self.data.plan(0):
            self.data.slices(update)

    def step(self) -> None:
        """Forward and backward of a batch that is made already."""
        row_losses(self.model, self._made, torch.device("cpu")).sum().backward()
        self.model.zero_grad(set_to_none=True)

    def make(self) -> None:
        """One batch."""
        self._made = self.batches.make(self.uses())


def loader(setting: Setting) -> Figures:
    """Every case: seconds to make a micro-batch and to train on it, in turn."""
    cases = {f"{edge}px_batch_{batch}": _case(setting, edge, batch) for edge, batch in _CASES}
    return {"torch_threads": torch.get_num_threads(), "pictures": setting.encoded * 3, **cases}


def _case(setting: Setting, edge: int, batch: int) -> Figures:
    bench = _bench(setting, edge, batch)
    rounds = setting.rounds * 8 - 7
    taken = alternated({"make": bench.make, "step": bench.step}, rounds, warm_up=1)
    updates = len(bench.data.plan(0))
    empty = alternated({"plan": bench.plan}, setting.rounds)["plan"].median / updates
    parts = {name: _each(work, bench, rounds) / batch for name, work in _parts(bench).items()}
    setting.tidy(setting.work / f"loader-{edge}-{batch}")
    make, step = taken["make"].median, taken["step"].median
    return {
        **taken["make"].figures("make_seconds"),
        **taken["step"].figures("step_seconds"),
        "empty_loop_seconds": empty,
        "loader_share_of_step": (make + empty) / step,
        "microseconds_per_picture": {name: seconds * 1e6 for name, seconds in parts.items()},
    }


def _bench(setting: Setting, edge: int, batch: int) -> _Bench:
    folder = setting.work / f"loader-{edge}-{batch}"
    photos(folder / "pictures", setting.encoded * 3, edge + 16)
    loaded = write_run(folder / "run", folder / "pictures", {"resolution": edge}, train_batch_size=batch)
    stage = set_stage(loaded, None, quiet)
    weights = choose_weights(loaded, stage.family.facts)
    text = stage.family.load_text(weights.source, builtin_negative=weights.builtin_negative)
    sources = Sources(load_codec(stage, weights.source), text, stage.seed, stage.family.facts.longest_edge)
    data = prepare_data(loaded, sources, ranks_of(stage.processes), quiet)
    model = build_model(stage, weights.source).model
    slices = [uses for update in data.plan(0) for uses in data.slices(update) if len(uses) == batch]
    return _Bench(data, _maker(stage, data, text), model, slices)


def _maker(stage: Stage, data: TrainingData, text: TextReader) -> BatchMaker:
    return BatchMaker(
        seed=stage.seed,
        latents=data.latents,
        masks=data.masks,
        references=data.references,
        captions=data.captions,
        tokens=data.tokens,
        unconditional=text.unconditional(),
        dropout=0.0,
    )


def _parts(bench: _Bench) -> dict[str, Callable[[Use], Any]]:
    """What is done for each picture of a micro-batch."""
    data, seed, shape = bench.data, bench.batches.seed, bench.data.latents(bench.slices[0][0]).mean.shape
    posterior = data.latents(bench.slices[0][0])
    return {
        "read_latent": data.latents,
        "draw_latent": lambda use: draws.latents(seed, use, posterior),
        "draw_noise": lambda use: draws.noise(seed, use, shape),
        "draw_sigma": lambda use: draws.sigma(seed, use),
        "caption_and_tokens": lambda use: data.tokens(draws.caption(seed, use, data.captions(use)), 0),
        "mask": data.masks,
    }


def _each(work: Callable[[Use], Any], bench: _Bench, rounds: int) -> float:
    """The median seconds of ``work`` of every use of one micro-batch."""

    def over() -> None:
        for use in bench.uses():
            work(use)

    return median(alternated({"it": over}, rounds)["it"].seconds)
