"""The evaluation of a run, built from its configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial

from torch import Tensor

from simpletuner.assemble.data.datasets import TrainingData
from simpletuner.assemble.data.prepared import Prepared
from simpletuner.assemble.seeing.loss_references import Collection, keep_meter, measured, taught, tell_references
from simpletuner.assemble.seeing.model_views import averaged, eyes_open, learned
from simpletuner.assemble.stage import Stage
from simpletuner.assemble.training.actions import CheckpointAction
from simpletuner.assemble.training.best import BestCheckpoint, EarlyStop
from simpletuner.assemble.training.length import Length
from simpletuner.config.sections.validation import EvaluationConfig
from simpletuner.core.events import Notice
from simpletuner.core.keyed import derive_seed
from simpletuner.core.ranks import Ranks
from simpletuner.core.samples import SampleId, Use
from simpletuner.diffusion.quadrature import midpoints
from simpletuner.models.family import TextReader
from simpletuner.training.batches import BatchMaker
from simpletuner.training.objectives.objective import PLAIN
from simpletuner.training.parallel.base import Parallel
from simpletuner.training.step import row_losses
from simpletuner.training.update import Engine
from simpletuner.validation.loss.evaluator import Candidates, Evaluator, Exam
from simpletuner.validation.loss.held_out import Bench, spread
from simpletuner.validation.schedule import evaluation_due

Alone = Callable[[], AbstractContextManager[None]]

POOLED = "pooled"
# As many pictures that are trained on are evaluated beside those that are not, up to this many.
_MOST_SEEN = 16


def build_evaluator(
    stage: Stage, engine: Engine, data: TrainingData, text: TextReader, length: Length, alone: Alone = nullcontext
) -> Evaluator:
    """The evaluator; without pictures to evaluate it does nothing. ``alone`` as in :func:`bench_of`."""
    config = stage.loaded.config.evaluation
    bench, exam = bench_of(stage, engine, data, text, alone), exam_of(config, data)
    _announce(config, bench, exam, stage)

    def is_due(step: int) -> bool:
        steps, epochs = config.eval_steps_interval, config.eval_epoch_interval
        return evaluation_due(step, length.updates_per_epoch, steps, epochs)

    return Evaluator(bench, _with_references(exam, bench, engine, data), _candidates(engine), is_due, stage.emit)


def bench_of(stage: Stage, engine: Engine, data: TrainingData, text: TextReader, alone: Alone = nullcontext) -> Bench:
    """Batches whose randomness does not depend on the run's seed, so that runs can be compared; no mask, no dropout.

    ``alone`` is around what this process measures by itself, where a signal may end it.
    """
    config, parallel = stage.loaded.config, engine.parallel
    maker = BatchMaker(
        seed=derive_seed("evaluation"),
        latents=data.latents,
        masks=lambda _use: None,
        references=data.references,
        captions=data.captions,
        tokens=data.tokens,
        unconditional=text.unconditional(),
        dropout=0.0,
    )
    return Bench(
        sigmas=midpoints(engine.objective.timesteps.law, config.evaluation.eval_timesteps),
        batch=lambda uses: maker.make(uses, PLAIN, 1),
        losses=lambda batch: row_losses(engine.model, batch, parallel.device),
        rows=config.length.train_batch_size,
        ranks=Ranks(parallel.rank, parallel.count),
        sum=lambda losses: _put_together(parallel, losses),
        in_step=parallel.is_sharded,
        together=parallel.together if parallel.is_sharded else partial(_together, parallel, alone),
    )


@contextmanager
def _together(parallel: Parallel, alone: Alone) -> Iterator[None]:
    with parallel.together(), alone():
        yield


def _put_together(parallel: Parallel, losses: Tensor) -> Tensor:
    """What all processes found; there was no backward pass."""
    parallel.settle()
    return parallel.sum(losses)


def exam_of(config: EvaluationConfig, data: TrainingData) -> Exam:
    """Which pictures an evaluation measures."""
    named = spread({made.config.id: _samples(made) for made in data.evaluated}, config.num_eval_images)
    if not named:
        return Exam({})
    total = sum(len(samples) for samples in named.values())
    seen = [sample for made in taught(data.datasets) for sample in _samples(made)]
    if config.eval_dataset_pooling:
        named = {POOLED: tuple(sample for samples in named.values() for sample in samples)}
    return Exam(named, spread({"": seen}, min(total, _MOST_SEEN)).get("", ()))


def _samples(made: Prepared) -> Sequence[SampleId]:
    return [entry.sample for entry in made.arrangement(0).entries]


def _with_references(exam: Exam, bench: Bench, engine: Engine, data: TrainingData) -> Exam:
    """``exam`` with what each loss is held against, found by the process that tells it."""
    if not (exam.held_out and engine.parallel.is_first):
        return exam
    found = {name: _references(samples, bench, engine, data) for name, samples in exam.held_out.items()}
    return replace(
        exam,
        references={name: told for name, (told, _) in found.items()},
        variance={name: variance for name, (_, variance) in found.items()},
    )


def _references(
    samples: Sequence[SampleId], bench: Bench, engine: Engine, data: TrainingData
) -> tuple[Mapping[str, float], float]:
    """The best linear denoiser's loss on some pictures, and the variance of their target.

    It is the denoiser of these pictures, or of those trained on where these are too few.
    """
    downsample = engine.model.family.latents.downsample
    used = {sample.dataset for sample in samples}
    collection = Collection([made for made in data.evaluated if made.config.id in used], downsample)
    found = measured(collection, even_on_demand=True)
    assert found is not None, "an exam has pictures"
    sizes = [collection.size(Use(sample, 0)) for sample in samples]
    linear = found.linear_mean(sizes, bench.sigmas)
    if linear is None and engine.meter is not None and engine.meter.linear is not None:
        linear = engine.meter.linear.mean([(size, sigma) for size in sizes for sigma in bench.sigmas])
    return ({"linear_reference": linear} if linear is not None else {}), found.variance


def _candidates(engine: Engine) -> Candidates:
    """The base model is what is left when the adapter is switched off."""
    model, ema = engine.model, engine.ema
    return Candidates(
        live=lambda: learned(engine, 1.0),
        average=(lambda: averaged(model, ema, 1.0)) if ema is not None else None,
        base=(lambda: eyes_open(model, model.strength(0.0))) if model.adapter is not None else None,
    )


def _announce(config: EvaluationConfig, bench: Bench, exam: Exam, stage: Stage) -> None:
    """Say what an evaluation costs."""
    count = sum(len(samples) for samples in exam.held_out.values())
    if not count:
        return
    passes = (count + len(exam.seen)) * len(bench.sigmas)
    seen = f" and {len(exam.seen)} that are trained on" if exam.seen else ""
    when = [
        *([f"every {config.eval_steps_interval} updates"] if config.eval_steps_interval else []),
        *([f"every {config.eval_epoch_interval:g} epochs"] if config.eval_epoch_interval else []),
    ]
    told = f"{count} pictures{seen} at {len(bench.sigmas)} noise levels: {passes} predictions"
    stage.emit(Notice(f"evaluation {' and '.join(when)}: {told}"))


def keep_best(stage: Stage, evaluator: Evaluator, checkpoints: CheckpointAction) -> EarlyStop:
    """Have the best weights kept as ``checkpoint-best``; what ends training early."""
    config = stage.loaded.config.evaluation
    if config.checkpoint_best:
        best = BestCheckpoint(checkpoints.saver, stage.output_dir, evaluator, stage.emit, checkpoints.ready)
        evaluator.on_best = best.save
    return EarlyStop(evaluator, config.early_stop_patience, stage.emit, is_kept=config.checkpoint_best)


def announce_references(stage: Stage, engine: Engine, data: TrainingData) -> None:
    """Keep what losses are held against, and tell those of an evaluation, where something is evaluated."""
    if engine.meter is not None:
        keep_meter(engine.meter, data.datasets, stage.family.latents.downsample, stage.output_dir)
    if engine.meter is not None and data.evaluated:
        collection = Collection(taught(data.datasets), stage.family.latents.downsample)
        law, points = engine.objective.timesteps.law, stage.loaded.config.evaluation.eval_timesteps
        tell_references(collection, engine.meter, law, points, stage.output_dir, stage.emit)
