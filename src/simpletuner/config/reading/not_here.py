"""Options of other programs' files that this one will not have: each with the reason, and a pointer to the page."""

from __future__ import annotations

from dataclasses import dataclass

PAGE = "docs/not-here.md"


@dataclass(frozen=True)
class Absent:
    """A group of options that are not here: the ``title`` of the group, names, beginnings of names, and the reason.

    ``instead`` says what does that work here; empty where nothing does.
    """

    title: str
    names: tuple[str, ...]
    reason: str
    instead: str = ""
    beginnings: tuple[str, ...] = ()

    def has(self, name: str) -> bool:
        """Whether ``name`` is of this group."""
        return name in self.names or name.startswith(self.beginnings)


ABSENT = (
    Absent(
        "Other model families",
        tuple(
            "controlnet control controlnet_model_name_or_path refiner_training refiner_training_strength "
            "unet_attention_slice prediction_type rescale_betas_zero_snr freeze_encoder freeze_encoder_strategy "
            "layer_freeze_strategy tokenizer_max_length t5_padding smoldit smoldit_config framerate "
            "training_scheduler_timestep_spacing inference_scheduler_timestep_spacing "
            "pretrained_unet_model_name_or_path pretrained_t5_model_name_or_path".split()
        ),
        "is an option of another model family, and this program trains OmniGen",
        beginnings=tuple(
            "flux_ sd3_ sdxl_ sana_ hidream_ ltx_ ltxvideo_ wan_ hunyuan_ qwen_ chroma_ lumina_ pixart_ kolors_ "
            "auraflow_ cosmos_ ace_step_".split()
        ),
    ),
    Absent(
        "Video and audio",
        ("validation_num_video_frames", "validation_num_frames", "save_video"),
        "is for video or sound, and OmniGen is trained on pictures",
        beginnings=("video_", "audio_"),
    ),
    Absent(
        "Training a text encoder",
        ("train_text_encoder", "fully_unload_text_encoder"),
        "needs a text encoder, and OmniGen reads its words itself",
    ),
    Absent(
        "Distillation",
        ("distillation_config", "distillation_method"),
        "makes a student of a teacher, which this program does not",
        beginnings=("distillation_",),
    ),
    Absent(
        "Other networks beside the model",
        ("tread_config",),
        "changes which tokens the model sees, or adds networks to it, for other families",
        beginnings=("crepa_", "layersync_"),
    ),
    Absent(
        "Formats for each component",
        ("quantization_config",),
        "sets a format for each component of a pipeline; here only the transformer has one, which is "
        "base_model_precision",
        "base_model_precision",
    ),
    Absent(
        "Adapters for validation only",
        tuple(f"validation_adapter_{name}" for name in ("path", "name", "strength", "mode", "config")),
        "lays further adapters over the model while pictures are drawn",
        "`simpletuner generate --adapter FILE` draws with any adapter, with the same sampler",
    ),
    Absent(
        "Validation by another program",
        ("validation_external_script", "validation_external_background"),
        "lets another program draw",
        "`post_checkpoint_script` starts a program of yours after each checkpoint",
    ),
    Absent(
        "Data sets named for evaluation",
        ("eval_dataset_id",),
        "names the data set that pictures are drawn from",
        "`validation_using_datasets` draws from those that have references; `eval` data sets are all measured",
    ),
    Absent(
        "Group offloading",
        (),
        "moves groups of modules to the computer's memory and back",
        "`musubi_blocks_to_swap` does it, block by block",
        beginnings=("enable_group_offload", "group_offload_", "ramtorch"),
    ),
    Absent(
        "Cloud queues and servers",
        ("job_id",),
        "is for a job in a cloud or in a queue of a server; here a run is a command",
        beginnings=("cloud_", "queue_", "replicate_"),
    ),
)

ABSENT_VARIABLES = {
    "SIMPLETUNER_SHUFFLE_BUCKETS": "the order of pictures follows from `seed` and the epoch, and a resume needs it so",
    "SIMPLETUNER_MAXIMUM_IMAGE_SIZE_OVERRIDE": "it lifts a limit that is not here; only a size in the wrong unit is "
    "refused, and the message says which unit is meant",
}
"""Variables of the environment that SimpleTuner reads and this program does not, and why."""


def absent(name: str) -> Absent | None:
    """The group that an option ``name`` belongs to, or None when this program does not know it at all."""
    return next((group for group in ABSENT if group.has(name)), None)


def cure(group: Absent) -> str:
    """What to do about an option of ``group``."""
    return f"remove it; {group.instead or 'nothing replaces it'} ({PAGE})"
