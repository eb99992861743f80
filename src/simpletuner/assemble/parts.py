"""The parts of a run: built in the order in which they need each other, before anything trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from simpletuner.adapters.initial import first_step, read_adapter_file, read_average
from simpletuner.assemble.data.datasets import Sources, TrainingData, prepare_data
from simpletuner.assemble.mishaps import IfRoom
from simpletuner.assemble.rank_zero import Drawing
from simpletuner.assemble.seeing.evaluation import build_evaluator, keep_best
from simpletuner.assemble.seeing.pictures import build_validator, preview_commits
from simpletuner.assemble.seeing.scores import build_scorer, require_clip
from simpletuner.assemble.stage import Stage, ranks_of
from simpletuner.assemble.stopping import Stopping
from simpletuner.assemble.training.actions import CheckpointAction, Intervals
from simpletuner.assemble.training.best import EarlyStop
from simpletuner.assemble.training.engine import build_engine, build_saver
from simpletuner.assemble.training.identity import require_resumable
from simpletuner.assemble.training.length import Length, resolve_length
from simpletuner.assemble.training.network import build_model
from simpletuner.assemble.training.next_start import first_epoch
from simpletuner.assemble.training.resume import place, resume, saved_commits
from simpletuner.assemble.training.space import DiskRoom
from simpletuner.core.checkpoints import Checkpoint
from simpletuner.core.events import Notice
from simpletuner.core.lock import require_ours
from simpletuner.core.progress import Progress
from simpletuner.core.retention import Limits
from simpletuner.core.stages import told_stage
from simpletuner.data.order.untrained import Span, untrained
from simpletuner.models.family import Codec, MemorySaving, TextReader
from simpletuner.models.source import Source
from simpletuner.training.checkpoint import Saver
from simpletuner.training.model import TrainedModel
from simpletuner.training.update import Engine
from simpletuner.validation.loss.evaluator import Evaluator
from simpletuner.validation.scores.clip_files import FoundClip


@dataclass(frozen=True)
class Parts:
    """What a run trains with, and what acts between its updates."""

    model: TrainedModel
    data: TrainingData
    length: Length
    start: Progress
    engine: Engine
    saver: Saver
    checkpoints: CheckpointAction
    evaluator: Evaluator
    validator: Drawing
    early: EarlyStop


def build_parts(stage: Stage, chosen: Checkpoint | None, stopping: Stopping, *, delete: bool) -> Parts:
    """Data, model, engine and actions of a run that goes on from ``chosen``, where there is one.

    ``delete`` lets data sets that ask for it delete pictures that cannot be used. Raises SimpletunerError.
    """
    if chosen:
        require_resumable(stage, chosen)
    weights = stage.weights
    with stopping.anywhere():
        stage, clip = _seeing(stage, saved_commits(chosen))
        text = stage.family.load_text(weights.origin, builtin_negative=weights.builtin_negative)
        codec = load_codec(stage, weights.origin)
    with told_stage(stage.emit, "init_data_backend"):
        data = _data(stage, codec, text, first_epoch(stage.loaded.config.length, chosen), delete=delete)
    with told_stage(stage.emit, "init_load_base_model"), stopping.anywhere():
        built = build_model(stage, weights.origin)
    model = built.model
    start = place(stage, built.laid, chosen, data) if chosen else None
    length = resolve_length(stage.loaded.config.length, data.calendar, stage.processes.count)
    with told_stage(stage.emit, "init_prepare_models"):
        engine = build_engine(stage, model, data, text, length)
        evaluator = build_evaluator(stage, engine, data, text, length, stopping.alone)
        saver = build_saver(stage, engine, built.laid, data, length, evaluator)
    if chosen and start:
        with told_stage(stage.emit, "init_resume_checkpoint"):
            resume(stage, saver, evaluator, chosen, start, length)
    start = start or _first(stage, engine, length)
    data.report_untrained(_untrained(stage, data, start, length), stage.output_dir / "report.json")
    drawing = build_validator(stage, engine, (codec, text), data.datasets, start.step)
    drawing.scorer = build_scorer(stage, clip, data, engine.parallel.device)
    pictures = IfRoom(drawing, stage.emit, in_step=engine.parallel.is_sharded)
    validator = Drawing(pictures, drawing.is_due, engine.parallel, stopping.alone)
    checkpoints = _checkpoints(stage, saver, stopping, start.step if chosen else -1)
    early = keep_best(stage, evaluator, checkpoints)
    return Parts(model, data, length, start, engine, saver, checkpoints, evaluator, validator, early)


def _seeing(stage: Stage, saved: Mapping[str, str]) -> tuple[Stage, FoundClip | None]:
    """``stage`` with the commits of what pictures are looked at with, and the CLIP among it. ``saved`` ones hold."""
    stage = replace(stage, commits=saved)
    clip = require_clip(stage)
    used = preview_commits(stage) | dict(clip.commits if clip else {})
    for repository, commit in used.items():
        why = ", that of the checkpoint" if repository in saved else ""
        stage.emit(Notice(f"pictures are looked at with {repository} at commit {commit}{why}"))
    return replace(stage, commits={**saved, **used}), clip


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


def _untrained(stage: Stage, data: TrainingData, start: Progress, length: Length) -> Mapping[str, str]:
    """The data sets that are not trained between ``start`` and the end, with what is to be told of each."""
    done = data.calendar.first_step(start.epoch) + start.epoch_step
    before = start.step - done
    is_in_epochs = not stage.loaded.config.length.max_train_steps
    return untrained(data.calendar, Span(length.steps - before, before, is_in_epochs))


def load_codec(stage: Stage, source: Source) -> Codec:
    """The VAE, saving memory as asked for."""
    config = stage.loaded.config.model
    saving = MemorySaving(tiling=config.vae_enable_tiling, slicing=config.vae_enable_slicing)
    return stage.family.load_codec(source, stage.accelerator.device, stage.precision.vae, saving)


def _data(stage: Stage, codec: Codec, text: TextReader, epoch: int, *, delete: bool) -> TrainingData:
    sources = Sources(codec=codec, text=text, seed=stage.seed, maximum_edge=stage.family.facts.longest_edge)
    return prepare_data(stage.loaded, sources, ranks_of(stage.processes), stage.emit, delete=delete, epoch=epoch)


def _checkpoints(stage: Stage, saver: Saver, stopping: Stopping, saved_step: int) -> CheckpointAction:
    config = stage.loaded.config.checkpoints
    room = DiskRoom(stage.output_dir, config, stage.emit, lambda: stopping.asked)

    def ready() -> None:
        require_ours(stage.output_dir)
        room.require()

    return CheckpointAction(
        saver,
        stage.output_dir,
        Intervals(
            config.checkpoint_step_interval, config.checkpoint_epoch_interval, config.checkpointing_rolling_steps
        ),
        Limits(config.checkpoints_total_limit, config.checkpoints_rolling_total_limit),
        stage.emit,
        ready,
        saved_step,
    )
