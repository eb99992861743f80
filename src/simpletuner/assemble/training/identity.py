"""What makes a run the same run when it goes on, and what may change in it and is told."""

from __future__ import annotations

from collections.abc import Iterator

from simpletuner.assemble.stage import Stage
from simpletuner.assemble.training.adapter import Laid
from simpletuner.config.datasets.dataset import SECRET_KEYS, DatasetConfig
from simpletuner.config.load import LoadedRun
from simpletuner.config.option import facts_of
from simpletuner.config.rules.together import scheduler_in_force
from simpletuner.config.run import OPTIONS, RunConfig
from simpletuner.core.checkpoints import Checkpoint
from simpletuner.models.source import REVISION
from simpletuner.training.checkpoint import state_of
from simpletuner.training.fingerprint import Identity, differences, require_same_run

_ALLOWED = "SIMPLETUNER_ALLOW_MODIFYING_BSZ"
# The rate's whole course, where it has one: moved in mid-run it would jump.
_COURSE = ("learning_rate", "lr_end", "lr_num_cycles", "lr_power", "lr_warmup_steps")
_READERS = frozenset(("training", "diffusion"))
_OF_TRAINING = ("optimizer", "ema")
# What an epoch's plan is made of, beside the data sets themselves.
_ORDER = {"data_backend_sampling", "allow_dataset_oversubscription", "disable_bucket_pruning"}
# What is learned, and from what.
_LEARNED = ("objective", "flow", "rollout")
# When and where, not what; the seed of a resumed run is the checkpoint's.
_NOT_TOLD = ("max_train_steps", "seed")
_NOT_TOLD_SECTIONS = ("checkpoints", "report", "memory", "machine", "validation")
_FREE = set(SECRET_KEYS) | set(
    "instance_data_dir csv_cache_dir cache_dir aws_endpoint_url num_proc cache_dir_vae vae_cache_ondemand "
    "vae_cache_disable text_embeds image_embeds delete_unwanted_images delete_problematic_images "
    "skip_file_discovery preserve_data_backend_cache scan_for_errors vae_cache_scan_behaviour "
    "override_dataset_config metadata_update_interval write_batch_size hash_filenames".split()
)


def identity_of(stage: Stage, laid: Laid | None) -> Identity:
    """The settings that a resume compares; without ``laid`` all but the adapter's."""
    fixed = _fixed(stage, laid)
    config, environ = stage.loaded.config, stage.loaded.environ
    return Identity(
        fixed=fixed,
        settings={name: value for name, value in _changeable(config) if name not in fixed},
        may_change_batch=config.checkpoints.i_know_what_i_am_doing or environ.get(_ALLOWED) == "1",
        young=frozenset({REVISION}),
        commits=stage.commits,
    )


def require_resumable(stage: Stage, chosen: Checkpoint) -> None:
    """Compare what is known before a model loads. Raises DataError when ``chosen`` belongs to a different run."""
    identity = identity_of(stage, None)
    saved = {name: value for name, value in state_of(chosen.path)["fingerprint"].items() if name in identity.fixed}
    require_same_run(chosen.path, saved, identity)


def batch_changed(chosen: Checkpoint, identity: Identity) -> bool:
    """Whether the batch is not that of the checkpoint, so that a place in the middle of an epoch means nothing."""
    found = differences(state_of(chosen.path)["fingerprint"], identity.fixed)
    return any(difference.is_of_batch for difference in found)


def told_changes(chosen: Checkpoint, identity: Identity) -> tuple[str, ...]:
    """One line for each setting that may change and did."""
    state = state_of(chosen.path)
    found = (
        *(change for change in differences(state["fingerprint"], identity.fixed) if change.is_of_batch),
        *differences(state["settings"], identity.settings),
    )
    return tuple(f"from here on: {difference}" for difference in found)


def _changeable(config: RunConfig) -> Iterator[tuple[str, object]]:
    """Every option that training reads."""
    values = config.model_dump(mode="json")
    for name, option in OPTIONS.items():
        is_read = not _READERS.isdisjoint(facts_of(option.declared).reads) or option.section in _OF_TRAINING
        if is_read and name not in _NOT_TOLD and option.section not in _NOT_TOLD_SECTIONS:
            yield name, values[option.section][name]


def _fixed(stage: Stage, laid: Laid | None) -> dict[str, object]:
    """The settings without which a resumed run would not be the same run."""
    config = stage.loaded.config
    slices = config.length.gradient_accumulation_steps * stage.processes.count
    return {
        "model_type": config.model.model_type,
        "model_family": config.model.model_family,
        "optimizer": config.optimizer.optimizer,
        "use_ema": config.ema.use_ema,
        "seed": stage.seed,
        **(laid.settings if laid else {}),
        "base_model_precision": config.precision.base_model_precision,
        "adapter_dtype": str(stage.precision.adapter),
        "mixed_precision": str(stage.precision.autocast or stage.precision.base),
        "vae_dtype": str(stage.precision.vae),
        "weights": str(stage.weights.source),
        **_commit(stage),
        "caption_dropout_probability": config.data.caption_dropout_probability,
        **config.data.model_dump(mode="json", include=_ORDER),
        **_taking_turns(stage.loaded),
        **_learned(config),
        **_rate(config),
        # What is held out changes no weight.
        "datasets": {
            dataset.id: _data_settings(dataset, slices)
            for dataset in stage.loaded.datasets
            if dataset.dataset_type != "eval"
        },
    }


def _commit(stage: Stage) -> dict[str, object]:
    """The state of the hub's repository that the model is, under the name of the option that asks for it."""
    commit = stage.weights.commit
    return {} if commit is None else {REVISION: commit}


def _learned(config: RunConfig) -> dict[str, object]:
    """The loss, the law of timesteps and what the model is shown."""
    values = config.model_dump(mode="json")
    of_them = ((name, option) for name, option in OPTIONS.items() if option.section in _LEARNED)
    return {name: values[option.section][name] for name, option in of_them if facts_of(option.declared).reads}


def _rate(config: RunConfig) -> dict[str, object]:
    """The shape of the learning rate, and its whole course where it is not constant."""
    shape = scheduler_in_force(config.optimizer)
    course = () if shape.startswith("constant") else _COURSE
    values = config.optimizer.model_dump(mode="json")
    return {"lr_scheduler": shape, **{name: values[name] for name in course}}


def _taking_turns(loaded: LoadedRun) -> dict[str, object]:
    """How several data sets of references take turns, where there are some."""
    several = any(len(dataset.conditioning_data) > 1 for dataset in loaded.datasets)
    key = "conditioning_multidataset_sampling"
    return {key: loaded.config.data.conditioning_multidataset_sampling} if several else {}


def _data_settings(dataset: DatasetConfig, slices: int) -> dict[str, object]:
    """What decides how a data set is seen. Where it lies and how it is cached may change, and so may the ``slices``
    (accumulation x processes) that an update is cut into, as long as it holds as many pictures.
    """
    settings = dataset.model_dump(mode="json", exclude=_FREE | {"train_batch_size"})
    # Checkpoints from before this key was read do not name it, and meant 0.
    if not dataset.timestep_sampling_offset:
        del settings["timestep_sampling_offset"]
    return {**settings, "pictures_per_update": dataset.train_batch_size * slices}
