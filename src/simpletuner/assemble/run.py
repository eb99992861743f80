"""A whole run, in the order a person would tell it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from simpletuner.adapters.initial import first_step, read_adapter_file, read_average
from simpletuner.assemble.actions import CheckpointAction, StopAction
from simpletuner.assemble.datasets import Sources, TrainingData, prepare_data
from simpletuner.assemble.engine import build_engine, build_saver
from simpletuner.assemble.length import Length, resolve_length
from simpletuner.assemble.mishaps import mishaps_named
from simpletuner.assemble.network import build_model, coverage_lines
from simpletuner.assemble.output import choose_checkpoint, prepare, start_over
from simpletuner.assemble.pictures import build_validator
from simpletuner.assemble.stage import Stage, ranks_of, set_stage
from simpletuner.assemble.weights import choose_weights
from simpletuner.config.load import LoadedRun
from simpletuner.config.rules import scheduler_in_force, trackers
from simpletuner.core.checkpoints import Checkpoint, written_result
from simpletuner.core.errors import ConfigError, DataError, Interrupted, SimpletunerError, Terminated
from simpletuner.core.events import CheckpointSaved, Emit, Event, Notice, RunEnded, RunStarted, StepDone
from simpletuner.core.progress import Progress
from simpletuner.models.family import Codec, MemorySaving, TextReader
from simpletuner.observe.build import build_console, build_listeners
from simpletuner.observe.fan_out import FanOut
from simpletuner.training.checkpoint import Saver, read_state
from simpletuner.training.loop import Course, Engine
from simpletuner.training.loop import run as run_loop
from simpletuner.training.model import TrainedModel


def run(loaded: LoadedRun, *, fresh: bool, delete: bool, confirm: Callable[[str], bool]) -> None:
    """Train what ``loaded`` describes, from caching to the final file.

    ``fresh`` moves an earlier run in the output folder aside, after ``confirm``; ``delete`` lets data sets that ask for
    it delete pictures that cannot be used. Raises SimpletunerError for everything that a user can act on.
    """
    _require_one_process(loaded)
    output_dir = Path(loaded.config.report.output_dir)
    prepare(output_dir)
    if fresh:
        start_over(output_dir, confirm)
    notes = FanOut([build_console()])
    chosen = choose_checkpoint(output_dir, loaded.config.checkpoints.resume_from_checkpoint, notes)
    notes.close()
    report = loaded.config.report
    listeners = build_listeners(
        trackers(report.report_to), output_dir, report.logging_dir, chosen.step if chosen else 0
    )
    heard = _Heard(listeners, chosen.step if chosen else 0)
    began = time.monotonic()
    try:
        with mishaps_named(output_dir):
            _train(set_stage(loaded, saved_seed(chosen), heard), chosen, delete=delete)
        heard(RunEnded(heard.step, "completed", time.monotonic() - began))
    except (Interrupted, Terminated) as error:
        heard(RunEnded(heard.step, "interrupted", time.monotonic() - began, str(error)))
        raise
    except SimpletunerError as error:
        heard(RunEnded(heard.step, "failed", time.monotonic() - began, str(error)))
        raise
    finally:
        listeners.close()


def _require_one_process(loaded: LoadedRun) -> None:
    """A launcher that starts several would have them write the same files."""
    ranks = loaded.environ.get("WORLD_SIZE", "1")
    if ranks != "1":
        raise ConfigError(
            f"{ranks} processes were started; training on several devices is not available in this version",
            key="WORLD_SIZE",
            cure="start `simpletuner train` itself, without torchrun or accelerate launch",
        )


class _Heard:
    """Passes events on and remembers the last step, so that a run that ends early can say where."""

    def __init__(self, emit: Emit, first_step: int) -> None:
        self._emit = emit
        self.step = first_step

    def __call__(self, event: Event) -> None:
        if isinstance(event, StepDone):
            self.step = event.step
        self._emit(event)


def saved_seed(chosen: Checkpoint | None) -> int | None:
    """The seed that a run which goes on from ``chosen`` keeps; None for a fresh run."""
    return int(read_state(chosen.path)["fingerprint"]["seed"]) if chosen else None


def _train(stage: Stage, chosen: Checkpoint | None, *, delete: bool) -> None:
    """Everything between the checks and the end."""
    weights = choose_weights(stage.loaded, stage.family.facts)
    text = stage.family.load_text(weights.source, builtin_negative=weights.builtin_negative)
    codec = load_codec(stage, weights.source)
    data = _data(stage, codec, text, delete=delete)
    built = build_model(stage, weights.source)
    model = built.model
    length = resolve_length(stage.loaded.config.length, data.calendar)
    engine = build_engine(stage, model, data, text, length)
    saver = build_saver(stage, engine, built.laid, data, length)
    start = _resume(stage, saver, chosen, data) if chosen else _first(stage, engine, length)
    if chosen:
        _tell_resume(stage, chosen, start, length)
    validator = build_validator(stage.loaded, engine, (codec, text), start.step, stage.emit)
    _announce(stage, model, length, start)
    validator.before_training(start)
    checkpoints = _checkpoints(stage, saver, start.step if chosen else -1)
    stop = StopAction(checkpoints)
    course = _course(stage, data, length, start, chosen)
    try:
        with stop.listening():
            end = run_loop(engine, course, start, (checkpoints, stop, validator), stage.emit)
    except DataError:
        # A picture went bad in mid-run; what was learned so far is not lost.
        checkpoints.save(checkpoints.latest or start)
        raise
    finally:
        data.close()
    checkpoints.save(end)
    with written_result(stage.output_dir) as folder:
        saver.write_final(folder, end)
    stage.emit(CheckpointSaved(end.step, stage.output_dir, is_final=True))
    validator.at_end(end)


def _resume(stage: Stage, saver: Saver, chosen: Checkpoint, data: TrainingData) -> Progress:
    """Where the run goes on; told when the pictures are not those of the checkpoint."""
    progress = saver.restore(chosen.path)
    if read_state(chosen.path)["data"] != data.digest:
        told = f"the pictures changed since {chosen.path.name}: what is left of this epoch follows the new order"
        stage.emit(Notice(told, level="warning"))
    if progress.epoch_step >= data.calendar.length(progress.epoch):
        return Progress(step=progress.step, epoch=progress.epoch + 1)
    return progress


def _first(stage: Stage, engine: Engine, length: Length) -> Progress:
    """Where a fresh run begins: at 0, or where its first adapter file was saved, with the average that goes with it."""
    loaded = stage.loaded
    if loaded.init_lora_ema is not None and engine.ema is not None:
        engine.ema.load(read_average(loaded.init_lora_ema, engine.ema.shadow))
    if loaded.init_lora is None:
        return Progress()
    step = first_step(loaded.config.adapter.init_lora_step, read_adapter_file(loaded.init_lora), length.steps)
    stage.emit(Notice(f"starting from {loaded.init_lora.name}: step {step} of {length.steps}"))
    return Progress(step=step)


def _tell_resume(stage: Stage, chosen: Checkpoint, start: Progress, length: Length) -> None:
    stage.emit(
        Notice(f"going on from {chosen.path.name}: step {start.step} of {length.steps}, epoch {start.epoch + 1}")
    )
    if stage.loaded.init_lora is not None:
        stage.emit(Notice("init_lora: the checkpoint's values and step are taken"))
    if start.step >= length.steps:
        stage.emit(Notice(f"nothing is left to train: raise max_train_steps above {start.step} to go on"))
    planned = read_state(chosen.path)["steps"]
    shape = scheduler_in_force(stage.loaded.config.optimizer)
    if planned != length.steps and not shape.startswith("constant"):
        told = f"the run was planned for {planned} steps: the {shape} learning rate is stretched and jumps here"
        stage.emit(Notice(told, level="warning"))


def load_codec(stage: Stage, source: str | Path) -> Codec:
    """The VAE, saving memory as asked for."""
    config = stage.loaded.config.model
    saving = MemorySaving(tiling=config.vae_enable_tiling, slicing=config.vae_enable_slicing)
    return stage.family.load_codec(source, stage.accelerator.device, stage.precision.vae, saving)


def _data(stage: Stage, codec: Codec, text: TextReader, *, delete: bool) -> TrainingData:
    sources = Sources(codec=codec, text=text, seed=stage.seed, maximum_edge=stage.family.facts.longest_edge)
    return prepare_data(stage.loaded, sources, ranks_of(stage.accelerator), stage.emit, delete=delete)


def _announce(stage: Stage, model: TrainedModel, length: Length, start: Progress) -> None:
    lines = coverage_lines(model, stage.family.linears(model.denoiser))
    told = (*lines, f"{length.updates_per_epoch} updates an epoch, {length.steps} in all")
    stage.emit(RunStarted(stage.loaded.name, stage.output_dir, start.step, length.steps, length.epochs, told))


def _checkpoints(stage: Stage, saver: Saver, saved_step: int) -> CheckpointAction:
    config = stage.loaded.config.checkpoints
    return CheckpointAction(
        saver,
        stage.output_dir,
        config.checkpoint_step_interval,
        config.checkpoint_epoch_interval,
        config.checkpoints_total_limit,
        stage.emit,
        saved_step,
    )


def _course(stage: Stage, data: TrainingData, length: Length, start: Progress, chosen: Checkpoint | None) -> Course:
    return Course(
        plan=data.plan,
        slices=data.slices,
        prior=data.is_prior,
        max_steps=length.steps,
        seed=stage.seed,
        first_step=start.step,
        resumed_from=chosen.path.name if chosen else None,
    )
