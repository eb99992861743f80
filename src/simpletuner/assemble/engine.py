"""The engine of a run: optimizer, schedule, average, batches, and what saves and restores them."""

from __future__ import annotations

from simpletuner.assemble.adapter import Laid, common_metadata
from simpletuner.assemble.datasets import TrainingData
from simpletuner.assemble.length import Length
from simpletuner.assemble.network import build_ema
from simpletuner.assemble.stage import Stage
from simpletuner.assemble.weights import choose_weights
from simpletuner.config.dataset import SECRET_KEYS, DatasetConfig
from simpletuner.config.load import LoadedRun
from simpletuner.config.optimizer_rules import clipping_threshold
from simpletuner.config.rules import scheduler_in_force
from simpletuner.models.family import TextReader
from simpletuner.training.batches import BatchMaker
from simpletuner.training.checkpoint import Saver
from simpletuner.training.loop import Clipping, Engine
from simpletuner.training.model import TrainedModel
from simpletuner.training.optimizers import build_optimizer
from simpletuner.training.schedules import Schedule


def build_engine(stage: Stage, model: TrainedModel, data: TrainingData, text: TextReader, length: Length) -> Engine:
    """Everything that an update works with."""
    config = stage.loaded.config.optimizer
    ema = build_ema(stage.loaded, model, stage.accelerator.device)
    schedule = _schedule(stage.loaded, length)
    return Engine(
        accelerator=stage.accelerator,
        model=model,
        wrapped=stage.accelerator.prepare_model(model),
        optimizer=build_optimizer(config, model.trainable().values(), stage.seed, schedule.peak),
        schedule=schedule,
        clipping=Clipping(config.grad_clip_method, clipping_threshold(config)),
        ema=ema,
        batches=BatchMaker(
            seed=stage.seed,
            latents=data.latents,
            masks=data.masks,
            captions=data.captions,
            tokens=data.tokens,
            unconditional=text.unconditional(),
            dropout=stage.loaded.config.data.caption_dropout_probability,
        ),
    )


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


def build_saver(stage: Stage, engine: Engine, laid: Laid | None, data: TrainingData, length: Length) -> Saver:
    """What writes and restores checkpoints and the final file."""
    return Saver(
        model=engine.model,
        optimizer=engine.optimizer,
        ema=engine.ema,
        metadata={**common_metadata(stage, data.resolution), **laid.metadata} if laid else {},
        lycoris=laid.lycoris if laid else None,
        fingerprint=_fingerprint(stage, laid),
        data=data.digest,
        steps=length.steps,
    )


_FREE = set(SECRET_KEYS) | set(
    "instance_data_dir csv_cache_dir cache_dir aws_endpoint_url num_proc cache_dir_vae vae_cache_ondemand "
    "vae_cache_disable text_embeds image_embeds delete_unwanted_images delete_problematic_images "
    "skip_file_discovery preserve_data_backend_cache scan_for_errors vae_cache_scan_behaviour "
    "override_dataset_config metadata_update_interval write_batch_size hash_filenames".split()
)


def _fingerprint(stage: Stage, laid: Laid | None) -> dict[str, object]:
    """The settings without which a resumed run would not be the same run."""
    config = stage.loaded.config
    return {
        "model_type": config.model.model_type,
        "model_family": config.model.model_family,
        "optimizer": config.optimizer.optimizer,
        "use_ema": config.ema.use_ema,
        "seed": stage.seed,
        **(laid.settings if laid else {}),
        "base_model_precision": config.precision.base_model_precision,
        "adapter_dtype": str(stage.precision.adapter),
        "gradient_accumulation_steps": config.length.gradient_accumulation_steps,
        "weights": str(choose_weights(stage.loaded, stage.family.facts).source),
        "caption_dropout_probability": config.data.caption_dropout_probability,
        "datasets": {dataset.id: _data_settings(dataset) for dataset in stage.loaded.datasets},
    }


def _data_settings(dataset: DatasetConfig) -> dict[str, object]:
    """What decides how a data set is seen. Where it lies and how it is cached may change."""
    return dataset.model_dump(mode="json", exclude=_FREE)
