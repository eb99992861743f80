"""The engine of a run: optimizer, schedule, average, batches, and what saves and restores them."""

from __future__ import annotations

from functools import partial

from torch.optim import Optimizer

from simpletuner.assemble.data.datasets import TrainingData
from simpletuner.assemble.seeing.loss_references import meter_of
from simpletuner.assemble.stage import Stage
from simpletuner.assemble.training.adapter import Laid, comment_at, common_metadata
from simpletuner.assemble.training.identity import identity_of
from simpletuner.assemble.training.length import Length
from simpletuner.assemble.training.network import build_ema
from simpletuner.assemble.training.objective import masks_in_use, objective_of
from simpletuner.config.files.deepspeed import ZeroConfig
from simpletuner.config.load import LoadedRun
from simpletuner.config.rules.together import scheduler_in_force
from simpletuner.config.sections.optimizer import clipping_threshold
from simpletuner.core.events import Notice
from simpletuner.models.family import TextReader
from simpletuner.training.batches import BatchMaker
from simpletuner.training.checkpoint import Saver
from simpletuner.training.meter import Meter
from simpletuner.training.model import TrainedModel
from simpletuner.training.objectives.objective import Objective
from simpletuner.training.optimizers import build_optimizer
from simpletuner.training.parallel.equal import require_equal
from simpletuner.training.parallel.replicas import Replicas
from simpletuner.training.parallel.sharded import ShardSettings, held_bytes, shard
from simpletuner.training.parallel.zero import ZeroSettings, share_out
from simpletuner.training.schedules import Schedule
from simpletuner.training.update import Clipping, Engine
from simpletuner.validation.loss.evaluator import Evaluator


def build_engine(stage: Stage, model: TrainedModel, data: TrainingData, text: TextReader, length: Length) -> Engine:
    """Everything that an update works with."""
    config = stage.loaded.config.optimizer
    schedule = _schedule(stage.loaded, length)
    parallel, optimizer = build_parallel(stage, model, schedule.peak)
    ema = build_ema(stage.loaded, model, stage.accelerator.device)
    objective = objective_of(stage.loaded, stage.family.facts, lockstep=parallel.is_sharded)
    return Engine(
        parallel=parallel,
        model=model,
        optimizer=optimizer,
        schedule=schedule,
        clipping=Clipping(config.grad_clip_method, clipping_threshold(config)),
        ema=ema,
        batches=BatchMaker(
            seed=stage.seed,
            latents=data.latents,
            masks=masks_in_use(stage.loaded, stage.seed, data.masks),
            references=data.references,
            captions=data.captions,
            tokens=data.tokens,
            unconditional=text.unconditional(),
            dropout=stage.loaded.config.data.caption_dropout_probability,
        ),
        slices=data.slices,
        prior=data.is_prior,
        seed=stage.seed,
        own_draws=_own_draws(stage),
        objective=objective,
        meter=_meter(stage, data, objective),
    )


def _meter(stage: Stage, data: TrainingData, objective: Objective) -> Meter | None:
    """What losses are held against, for the process that tells them."""
    downsample = stage.family.latents.downsample
    if not stage.processes.is_first:
        return None
    return meter_of(objective, data.datasets, downsample, stage.output_dir)


def _own_draws(stage: Stage) -> tuple[int, ...]:
    """Processes have different samples, and by default other draws inside the model; the first draws as one alone."""
    rank = stage.processes.rank
    return (rank,) if rank and stage.loaded.config.machine.seed_for_each_device else ()


def build_parallel(stage: Stage, model: TrainedModel, rate: float) -> tuple[Replicas, Optimizer]:
    """How the processes make an update together, and the optimizer; the model is cut when that is asked for.

    Raises DivergedError when the processes have not built the same model.
    """
    whole = Replicas(stage.accelerator.device, stage.processes)
    require_equal(whole, dict(model.named_parameters()), "the model at the start")
    parallel, before = whole, held_bytes(model)
    zero = stage.loaded.zero if stage.is_sharded else None
    if stage.is_sharded and zero is None:
        asked = stage.loaded.config.shard
        parallel = shard(model, whole, ShardSettings(asked.fsdp_reshard_after_forward, asked.fsdp_cpu_offload))
    # Parts are what FSDP2's optimizer works on; DeepSpeed makes its own parts from that of whole weights.
    optimizer = build_optimizer(stage.loaded.config.optimizer, model.trainable().values(), stage.seed, rate)
    if zero is not None:
        parallel, optimizer = _share_out(stage, model, optimizer, whole, zero)
    if not stage.is_sharded:
        whole.listen()
    if held_bytes(model) < before:
        told = f"each of {whole.count} processes holds {held_bytes(model) / 1e6:,.1f} MB of weights instead of"
        stage.emit(Notice(f"{told} {before / 1e6:,.1f}"))
    return parallel, optimizer


def _share_out(
    stage: Stage, model: TrainedModel, optimizer: Optimizer, whole: Replicas, asked: ZeroConfig
) -> tuple[Replicas, Optimizer]:
    """What DeepSpeed makes of model and optimizer, and a line about it."""
    sizes = {"reduce": asked.reduce_bucket_size, "gather": asked.allgather_bucket_size}
    given = {name: size for name, size in sizes.items() if size is not None}
    zero, stepped = share_out(model, optimizer, whole, ZeroSettings(asked.stage, **given))
    stage.emit(Notice(zero.line()))
    if asked.stage == 3 and stage.loaded.config.ema.use_ema and "ema_device" in stage.loaded.values:
        stage.emit(Notice("not read: ema_device (the average of sharded weights lies where they do)"))
    return zero, stepped


def _schedule(loaded: LoadedRun, length: Length) -> Schedule:
    config = loaded.config.optimizer
    factor = length.pictures_per_update if config.lr_scale else 1
    scale = factor**0.5 if config.lr_scale_sqrt else factor
    return Schedule(
        name=scheduler_in_force(config),
        peak=config.learning_rate * scale,
        end=config.lr_end,
        warmup=config.lr_warmup_steps,
        total=length.steps,
        cycles=config.lr_num_cycles,
        power=config.lr_power,
    )


def build_saver(
    stage: Stage, engine: Engine, laid: Laid | None, data: TrainingData, length: Length, evaluator: Evaluator
) -> Saver:
    """What writes and restores checkpoints and the final file."""
    return Saver(
        model=engine.model,
        optimizer=engine.optimizer,
        ema=engine.ema,
        metadata={**common_metadata(stage, data.resolution), **laid.metadata} if laid else {},
        lycoris=laid.lycoris if laid else None,
        identity=identity_of(stage, laid),
        data=data.digest,
        steps=length.steps,
        parallel=engine.parallel,
        evaluation=evaluator.state,
        comment=partial(comment_at, stage.loaded),
    )
