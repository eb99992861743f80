"""A whole run measured before it is made: built as it would be, one of each kind of work done, nothing kept."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from simpletuner.assemble.data.datasets import TrainingData
from simpletuner.assemble.data.prepared import Prepared
from simpletuner.assemble.mishaps import mishaps_named
from simpletuner.assemble.parts import load_codec
from simpletuner.assemble.planning.caching import measure_caching
from simpletuner.assemble.planning.figures import Peak, RunPlan, StepFigures
from simpletuner.assemble.planning.imagined import imagine
from simpletuner.assemble.planning.occasions import occasions
from simpletuner.assemble.planning.peak import machine_of
from simpletuner.assemble.planning.saving import measure_saving
from simpletuner.assemble.planning.seeing import Eyes, measure_evaluation, measure_validation
from simpletuner.assemble.planning.shapes import Found, find_shapes
from simpletuner.assemble.planning.steps import measure_shape
from simpletuner.assemble.seeing.evaluation import build_evaluator
from simpletuner.assemble.stage import Stage, pinned, set_stage
from simpletuner.assemble.stopping import Stopping
from simpletuner.assemble.training.engine import build_engine, build_saver
from simpletuner.assemble.training.length import Length, resolve_length
from simpletuner.assemble.training.network import Built, build_model
from simpletuner.assemble.weights import Weights
from simpletuner.config.load import LoadedRun
from simpletuner.core.errors import Interrupted, Terminated
from simpletuner.core.events import Emit, Notice, StageProgress
from simpletuner.core.memory import first_line, give_back, is_exhausted
from simpletuner.data.order.untrained import Span, untrained
from simpletuner.models.family import Codec, TextReader
from simpletuner.training.update import Engine


@dataclass(frozen=True)
class _Ready:
    """Everything before the model. ``every`` are all data sets, ``began`` the clock at the command's start."""

    stage: Stage
    weights: Weights
    codec: Codec
    text: TextReader
    data: TrainingData
    every: Sequence[Prepared]
    length: Length
    found: tuple[Found, ...]
    began: float


def plan_run(loaded: LoadedRun, emit: Emit, *, only_largest: bool = False) -> RunPlan:
    """Measure the run that ``loaded`` describes, as one device sees it; ``only_largest``: an update of the largest
    shape and nothing else.

    Writes nothing but the index of each data set. Memory that runs out in a measurement is a figure. Raises
    SimpletunerError for what would end the run itself before its first update.
    """
    with mishaps_named(loaded.config):
        return _planned(_prepare(loaded, emit), only_largest=only_largest)


@contextmanager
def stoppable() -> Iterator[None]:
    """Inside the block SIGINT and SIGTERM are obeyed at once, as Interrupted and Terminated."""
    stopping = Stopping()
    try:
        with stopping.listening(), stopping.anywhere():
            yield
    except (Interrupted, Terminated) as error:
        raise type(error)("stopped; a plan leaves nothing behind") from None


def _planned(ready: _Ready, *, only_largest: bool) -> RunPlan:
    loaded = ready.stage.loaded
    if only_largest:
        ready = replace(ready, found=ready.found[:1])
    plan = RunPlan(
        name=loaded.name,
        machine=machine_of(ready.stage.accelerator.device, loaded.config.machine.num_processes),
        steps=ready.length.steps,
        epochs=ready.length.epochs,
        updates_per_epoch=ready.length.updates_per_epoch,
        shapes=(),
        problems=_untrained(ready),
        starting=time.perf_counter() - ready.began,
    )
    if not only_largest:
        _tell(ready.stage, "caches", 0, 1)
        plan = replace(plan, caching=measure_caching(ready.stage, ready.codec, ready.text, ready.every))
        _tell(ready.stage, "caches", 1, 1)
    return _with_model(ready, plan, only_largest=only_largest)


def _prepare(loaded: LoadedRun, emit: Emit) -> _Ready:
    began = time.perf_counter()
    stage = pinned(set_stage(loaded, None, emit), None)
    weights = stage.weights
    text = stage.family.load_text(weights.origin, builtin_negative=weights.builtin_negative)
    codec = load_codec(stage, weights.origin)
    processes = loaded.config.machine.num_processes
    data, every = imagine(stage, codec, text, processes)
    length = resolve_length(loaded.config.length, data.calendar, processes)
    return _Ready(stage, weights, codec, text, data, every, length, find_shapes(data, length), began)


def _untrained(ready: _Ready) -> tuple[str, ...]:
    """What is told of the data sets that no update of the run is of."""
    in_epochs = not ready.stage.loaded.config.length.max_train_steps
    told = tuple(untrained(ready.data.calendar, Span(ready.length.steps, in_epochs=in_epochs)).values())
    for text in told:
        ready.stage.emit(Notice(text.replace("\n  ", "; "), level="warning"))
    return told


def _with_model(ready: _Ready, plan: RunPlan, *, only_largest: bool) -> RunPlan:
    """``plan`` with all that the model takes part in; where the model itself has no room, with that."""
    began, said = time.perf_counter(), ""
    try:
        built = build_model(ready.stage, ready.weights.origin)
        engine = build_engine(ready.stage, built.model, ready.data, ready.text, ready.length)
    except (MemoryError, RuntimeError) as error:
        if not is_exhausted(error):
            raise
        said = f"the model alone does not fit: {first_line(error)}"
    if said:
        give_back()
        return replace(plan, shapes=tuple(StepFigures(one.shape, Peak(0), 0, said=said) for one in ready.found))
    plan = replace(plan, starting=plan.starting + time.perf_counter() - began)
    plan = replace(plan, shapes=tuple(_steps(ready, engine)))
    return plan if only_largest or plan.nothing_fits else _beside(ready, built, engine, plan)


def _steps(ready: _Ready, engine: Engine) -> list[StepFigures]:
    measured: list[StepFigures] = []
    for found in ready.found:
        _tell(ready.stage, "updates", len(measured), len(ready.found))
        measured.append(measure_shape(engine, found, ready.length.steps))
    _tell(ready.stage, "updates", len(measured), len(ready.found))
    return measured


def _beside(ready: _Ready, built: Built, engine: Engine, plan: RunPlan) -> RunPlan:
    """``plan`` with what happens between updates: pictures, evaluations, checkpoints."""
    stage, data, length = ready.stage, ready.data, ready.length
    often = occasions(stage.loaded, data.calendar, length)
    eyes = Eyes(stage, engine, ready.codec, ready.text, data)
    _tell(stage, "pictures and checkpoints", 0, 3)
    validation = measure_validation(eyes, often.validations)
    _tell(stage, "pictures and checkpoints", 1, 3)
    evaluation = measure_evaluation(eyes, often.evaluations)
    _tell(stage, "pictures and checkpoints", 2, 3)
    evaluator = build_evaluator(stage, engine, data, ready.text, length)
    saver = build_saver(stage, engine, built.laid, data, length, evaluator)
    saving = measure_saving(saver, stage.loaded, length.steps, often.checkpoints)
    _tell(stage, "pictures and checkpoints", 3, 3)
    return replace(plan, validation=validation, evaluation=evaluation, saving=saving)


def _tell(stage: Stage, what: str, done: int, total: int) -> None:
    stage.emit(StageProgress("plan", f"measuring {what}", done, total))
