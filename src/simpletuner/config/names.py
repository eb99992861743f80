"""Names of options: their spellings, their former names, and those that this version does not have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simpletuner.config.fill import Source
from simpletuner.config.lenient import as_boolean, is_given
from simpletuner.config.option import LATER
from simpletuner.config.problems import near
from simpletuner.config.run import OPTIONS
from simpletuner.core.errors import ConfigError

RENAMED = {
    "validation_steps": "validation_step_interval",
    "checkpointing_steps": "checkpoint_step_interval",
    "save_total_limit": "checkpoints_total_limit",
}
# Knobs that change how fast or how loudly a run goes, not what it makes: they are told, not refused.
_UNREAD = frozenset(
    "accelerate_config accelerate_extra_args accelerate_visible_devices accelerator_cache_clear_interval "
    "checkpointing_use_tempdir dataloader_prefetch dataloader_prefetch_qlen delete_invalid_checkpoints "
    "disable_segmented_timestep_sampling disable_tf32 "
    "hub_model_id hub_model_name main_process_ip main_process_port model_card_note "
    "model_card_private model_card_safe_for_work noise_offset noise_offset_probability offload_during_save "
    "offload_during_startup set_grads_to_none snr_gamma text_encoder_lr torch_num_threads tracker_image_layout "
    "use_soft_min_snr validation_guidance_real validation_multigpu pretrained_evaluation_model_name_or_path "
    "eval_dataset_pooling i_know_what_i_am_doing validation_stitch_input_location "
    "strict_epoch_limit ignore_final_epochs".split()
)
_PLANNED = frozenset(
    "checkpointing_rolling_steps checkpoints_rolling_total_limit deepspeed_config disk_low_action disk_low_script "
    "disk_low_threshold distillation_config flow_beta_schedule_alpha flow_beta_schedule_beta "
    "flow_cubic_schedule_weights flow_custom_timesteps flow_sigmoid_scale flow_timesteps_mode flow_use_beta_schedule "
    "flow_use_uniform_schedule fsdp_enable huber_c huber_schedule "
    "input_perturbation input_perturbation_steps loss_type "
    "masked_loss_probability modelspec_comment num_machines machine_rank "
    "post_checkpoint_script post_upload_script publishing_config push_to_hub_background "
    "quantization_config validate_after_epoch validate_after_step validation_adapter_config "
    "validation_adapter_mode validation_adapter_name validation_adapter_path validation_adapter_strength "
    "validation_external_background validation_external_script validation_input validation_method "
    "validation_noise_scheduler validation_randomize validation_seed_source validation_using_datasets eval_dataset_id "
    "webhook_config scheduled_sampling_max_step_offset".split()
)
# Why one of them will not come, where that helps more than that it has not.
_REASONS = {
    "quantization_config": "sets a format for each component of a pipeline; here only the transformer has one, which "
    "is base_model_precision",
}
_DATASET_ONLY = frozenset(
    "repeats crop crop_aspect crop_style probability id type dataset_type instance_data_dir metadata_backend "
    "is_regularisation_data is_regularization_data disabled vae_cache_clear_each_epoch".split()
)


@dataclass(frozen=True)
class Named:
    """Values under the names of options; ``problems`` and ``notices`` are what was found on the way."""

    values: Mapping[str, Any]
    problems: tuple[ConfigError, ...] = ()
    notices: tuple[str, ...] = ()


@dataclass
class _Gathered:
    values: dict[str, Any] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)
    problems: list[ConfigError] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


def bare_name(key: str) -> str:
    """The key without leading dashes and with underscores: ``--report-to`` is ``report_to``."""
    return key.strip().lstrip("-").replace("-", "_")


def is_comment(key: str) -> bool:
    """Keys that begin with ``__`` are notes of the user."""
    return key.startswith("__")


def name_options(given: Mapping[str, Any], source: Source) -> Named:
    """Put the pairs of one file, or of the command line, under the names of options; nothing is converted."""
    gathered = _Gathered()
    for key, value in given.items():
        if not is_comment(key):
            _place(gathered, key, value, source)
    if gathered.unread:
        gathered.notices.append(f"{', '.join(gathered.unread)}: nothing in this version reads this")
    return Named(gathered.values, tuple(gathered.problems), tuple(gathered.notices))


def _place(gathered: _Gathered, key: str, value: Any, source: Source) -> None:
    name = bare_name(key)
    if name == "vae_cache_preprocess":
        _preprocess(gathered, value, source)
        return
    if name in RENAMED:
        gathered.notices.append(f"{name} is now called {RENAMED[name]}")
        name = RENAMED[name]
    if name in OPTIONS:
        _set(gathered, name, key, value, source)
    elif name in _UNREAD or name in _DATASET_ONLY:
        gathered.unread.append(name)
    elif name not in _PLANNED:
        hint = near(name, [*OPTIONS, *RENAMED, *_PLANNED])
        gathered.problems.append(source.problem(key, "unknown option", hint or "remove it"))
    elif is_on(value):
        gathered.problems.append(source.problem(key, _REASONS.get(name, f"this option {LATER}"), "remove it"))


def _set(gathered: _Gathered, name: str, key: str, value: Any, source: Source) -> None:
    if name in gathered.written:
        both = f"is given twice, as '{gathered.written[name]}' and as '{key}'"
        gathered.problems.append(source.problem(name, both, "keep one of them"))
    gathered.written[name] = key
    gathered.values[name] = value


def _preprocess(gathered: _Gathered, value: Any, source: Source) -> None:
    try:
        ondemand = is_given(value) and not as_boolean(value)
    except ValueError as error:
        gathered.problems.append(source.problem("vae_cache_preprocess", str(error)))
        return
    gathered.notices.append("vae_cache_preprocess is now vae_cache_ondemand, its opposite")
    _set(gathered, "vae_cache_ondemand", "vae_cache_preprocess", ondemand, source)


def is_on(value: Any) -> bool:
    """Whether a value asks for something: not null, "", false, 0, "none" or an empty list."""
    word = str(value).strip().lower()
    return is_given(value) and value not in ([], {}) and word not in {"none", "0", "0.0", "false", "no", "off", "n"}
