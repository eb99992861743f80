"""What validation pictures and evaluations of a run take: one picture of each size drawn in a few steps."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial

import torch

from simpletuner.assemble.data.datasets import TrainingData
from simpletuner.assemble.planning.figures import Peak, SeeingFigures, SizeFigures
from simpletuner.assemble.planning.peak import read_peak, reset_peak, settle
from simpletuner.assemble.planning.steps import seconds_of
from simpletuner.assemble.seeing.evaluation import bench_of, exam_of
from simpletuner.assemble.seeing.model_views import learned
from simpletuner.assemble.seeing.pictures import gallery_of, weights_of
from simpletuner.assemble.stage import Stage, silent
from simpletuner.core.errors import OutOfMemory
from simpletuner.core.memory import give_back, is_exhausted
from simpletuner.core.samples import SampleId
from simpletuner.diffusion.sampler import SamplingStep
from simpletuner.models.family import Codec, TextReader
from simpletuner.training.update import Engine
from simpletuner.validation.gallery import Gallery, Shot, shots
from simpletuner.validation.render import Studio, render
from simpletuner.validation.validator import BASE

_FEWEST_STEPS = 3
_ENOUGH_SECONDS = 1.0


@dataclass(frozen=True)
class Eyes:
    """What is drawn and measured with."""

    stage: Stage
    engine: Engine
    codec: Codec
    text: TextReader
    data: TrainingData

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.engine.parallel.device

    def looking(self) -> AbstractContextManager[None]:
        """The model as it is drawn with and evaluated."""
        return learned(self.engine, 1.0)


def measure_validation(eyes: Eyes, times: int) -> SeeingFigures:
    """All pictures of a run that validates so many ``times``, the base model's among them.

    Raises DataError when an input picture cannot be read, or a prompt names others than it has.
    """
    stage = eyes.stage
    gallery = gallery_of(stage.loaded, stage.family.facts, eyes.text, eyes.data.datasets, silent)
    if not gallery.prompts:
        return SeeingFigures()
    panels = weights_of(stage.loaded, eyes.engine)
    rounds = int(BASE in panels) + times * len(panels.keys() - {BASE})
    # With and without input pictures, a prompt is another piece of work.
    kinds: dict[tuple[tuple[int, int], int], list[Shot]] = {}
    for shot in shots(gallery):
        kinds.setdefault((shot.size, len(shot.spec.pictures)), []).append(shot)
    sizes = tuple(_drawn(eyes, gallery, found, rounds) for found in kinds.values())
    return SeeingFigures(times, sizes)


def _drawn(eyes: Eyes, gallery: Gallery, alike: Sequence[Shot], rounds: int) -> SizeFigures:
    """One picture of several alike, drawn in a few steps: what all of them take in ``rounds``."""
    size = "{}x{}".format(*alike[0].size)
    count = len(alike) * rounds
    reset_peak(eyes.device)
    try:
        seconds, peak = _seconds_of_picture(eyes, gallery, alike[0]), read_peak(eyes.device)
    except (MemoryError, RuntimeError) as error:
        if not is_exhausted(error):
            raise
        return SizeFigures(size, count, 0.0, None)
    finally:
        give_back()
    return SizeFigures(size, count, seconds, peak)


def _seconds_of_picture(eyes: Eyes, gallery: Gallery, shot: Shot) -> float:
    """A whole picture: its sampling steps as the later ones of a few, and what comes before and after them."""
    wanted = gallery.sampling.steps
    with eyes.looking():
        _, step = _rendered(eyes, gallery, shot, min(2, wanted))
        # Where steps are short, more of them: a busy machine shows in a single one.
        steps = min(wanted, max(_FEWEST_STEPS, int(_ENOUGH_SECONDS / max(step, 1e-6))))
        whole, step = _rendered(eyes, gallery, shot, steps)
    return max(0.0, whole - steps * step) + wanted * step


def _rendered(eyes: Eyes, gallery: Gallery, shot: Shot, steps: int) -> tuple[float, float]:
    """Seconds of a picture of so many sampling steps, and of one of them, the first left out."""
    studio = Studio(eyes.engine.model.family, eyes.engine.model, eyes.codec, eyes.text, eyes.device)
    sampling = replace(gallery.sampling, steps=steps)
    inputs = [picture.image for picture in shot.spec.pictures]
    clock: list[float] = []

    def on_step(_sampled: SamplingStep) -> None:
        settle(eyes.device)
        clock.append(time.perf_counter())

    draw = partial(render, studio, shot.spec.prompt, shot.size, sampling, on_step, inputs)
    whole = seconds_of(eyes.device, draw)
    return whole, (clock[-1] - clock[0]) / (steps - 1) if steps > 1 else whole


def measure_evaluation(eyes: Eyes, times: int) -> SeeingFigures:
    """All evaluations of a run: of the base model once, and ``times`` of the live and the averaged weights."""
    config = eyes.stage.loaded.config.evaluation
    exam = exam_of(config, eyes.data)
    if not exam.held_out or not times:
        return SeeingFigures()
    candidates = 2 if eyes.engine.ema is not None else 1
    base = 1
    held_out = [sample for samples in exam.held_out.values() for sample in samples]
    found = {**_by_size(eyes.data, held_out, base + times * candidates)}
    seen = _by_size(eyes.data, exam.seen, times)
    counts: Counter[str] = Counter()
    example: dict[str, SampleId] = {}
    for size, (sample, count) in (*found.items(), *seen.items()):
        counts[size] += count
        example.setdefault(size, sample)
    return SeeingFigures(times, tuple(_evaluated(eyes, size, counts[size], example[size]) for size in example))


def _by_size(data: TrainingData, samples: Sequence[SampleId], rounds: int) -> dict[str, tuple[SampleId, int]]:
    """One sample of each size, and how often that size is measured."""
    made = {found.config.id: found for found in (*data.datasets, *data.evaluated)}
    found: dict[str, tuple[SampleId, int]] = {}
    for sample in samples:
        owner = made[sample.dataset]
        size = str(owner.arrangement(0).entry(owner.surveyed.scanned.table.row(sample.path)).placement.target)
        first, count = found.get(size, (sample, 0))
        found[size] = first, count + rounds
    return found


def _evaluated(eyes: Eyes, size: str, count: int, sample: SampleId) -> SizeFigures:
    """One picture at every noise level, twice: the second time counts."""
    bench = bench_of(eyes.stage, eyes.engine, eyes.data, eyes.text)
    reset_peak(eyes.device)

    def act() -> None:
        bench.measure([sample], eyes.looking, "plan", silent)

    peak: Peak | None = None
    seconds = 0.0
    try:
        act()
        seconds, peak = seconds_of(eyes.device, act), read_peak(eyes.device)
    except OutOfMemory:
        seconds = 0.0
    return SizeFigures(size, count, seconds, peak)
