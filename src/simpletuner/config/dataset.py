"""One data set of the dataloader file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from simpletuner.config.data import ALIGNMENT_REFUSED, CAPTION_SPELLINGS, CHECKED
from simpletuner.config.option import REQUIRED, Section, option, refuse_later

_READ = ("data",)
_NOT_OMNIGEN = "is not for OmniGen"


class DatasetConfig(Section):
    """A data set of pictures, with the global options already beneath its own keys.

    Sizes are in the unit of ``resolution_type``; ``instance_data_dir`` and ``cache_dir_vae`` are full paths.
    """

    id: str = option(REQUIRED, reads=_READ, examples=["my-pictures"])
    """The name of the data set, unique in the file. It ties the data set to its cache: keep it."""
    dataset_type: Literal["image", "eval"] = option(
        "image",
        reads=_READ,
        refused=refuse_later("conditioning") | dict.fromkeys(("video", "audio", "caption"), _NOT_OMNIGEN),
    )
    """`image` is trained on; `eval` never is, its loss is measured; `text_embeds` and `image_embeds` are caches."""
    type: Literal["local"] = option(
        "local", reads=_READ, refused=refuse_later("aws", "csv", "huggingface", "webshart", "memory")
    )
    """Where the pictures lie."""
    instance_data_dir: Path = option(REQUIRED, reads=_READ, examples=["datasets/my-pictures"])
    """The folder of the pictures, searched with the folders below it."""
    cache_dir_vae: Path = option(REQUIRED, reads=_READ)
    """The folder of the latent cache."""
    resolution: float = option(1024.0, reads=_READ, gt=0)
    """Size of the training pictures."""
    resolution_type: Literal["pixel_area", "pixel", "area"] = option("pixel_area", reads=_READ)
    """The unit of the sizes."""
    crop: bool = option(default=False, reads=_READ)
    """Crop the pictures; without it only what exceeds the bucket is trimmed."""
    crop_aspect: Literal["square", "preserve"] = option(
        "square", reads=_READ, refused=refuse_later("closest", "random")
    )
    """Shape of the crop: a square, or the picture's own."""
    crop_style: Literal["random", "center", "corner"] = option(
        "random", reads=_READ, refused=refuse_later("face"), respelled={"centre": "center"}
    )
    """Where the crop is taken."""
    minimum_image_size: float | None = option(None, reads=_READ, ge=0)
    """Smaller pictures are left out; 0 is no limit."""
    maximum_image_size: float | None = option(None, reads=_READ, ge=0)
    """Larger pictures are first scaled to `target_downsample_size`."""
    target_downsample_size: float | None = option(None, reads=_READ, ge=0)
    """Size to which pictures above `maximum_image_size` are scaled."""
    aspect_bucket_alignment: Literal[16, 32, 64] = option(64, reads=_READ, refused=ALIGNMENT_REFUSED)
    """Edges of the training pictures are multiples of this."""
    aspect_bucket_rounding: int = option(2, reads=_READ, ge=1, le=9)
    """Decimal places of an aspect ratio."""
    caption_strategy: Literal["filename", "textfile", "instanceprompt"] = option(
        "filename",
        reads=_READ,
        respelled=CAPTION_SPELLINGS,
        refused=refuse_later("parquet", "huggingface", "csv", "webshart"),
    )
    """Where captions come from."""
    instance_prompt: str | None = option(None, reads=_READ)
    """The caption of `instanceprompt`, and the text of the next two keys."""
    prepend_instance_prompt: bool = option(default=False, reads=_READ)
    """Put `instance_prompt` before every caption."""
    only_instance_prompt: bool = option(default=False, reads=_READ)
    """Use `instance_prompt` for every picture."""
    disable_multiline_split: bool = option(default=False, reads=_READ)
    """A text file is one caption, not one on each line."""
    repeats: int = option(0, reads=_READ, ge=0)
    """Further uses of each picture in an epoch; 0 uses it once."""
    probability: float = option(1.0, reads=_READ, ge=0)
    """1 uses the data set, 0 leaves it out."""
    train_batch_size: int = option(4, reads=_READ, ge=1)
    """Pictures in one micro-batch of this data set."""
    is_regularisation_data: bool = option(default=False, reads=_READ)
    """The pictures keep what the model knows, they do not teach the subject."""
    vae_cache_clear_each_epoch: bool | None = option(
        None, unread="each picture keeps its crop, and cached latents never go stale"
    )
    """Take new random crops each epoch."""
    vae_cache_ondemand: bool = option(default=False, reads=_READ)
    """Encode during training what the cache does not hold."""
    vae_cache_disable: bool = option(default=False, reads=_READ)
    """Encode during training and store nothing."""
    skip_file_discovery: str | None = option(None, unread=CHECKED)
    """Stages of the scan to leave out."""
    metadata_backend: Literal["discovery", "json"] = option(
        "discovery", reads=("config",), refused=refuse_later("parquet", "huggingface", "webshart")
    )
    """Where sizes and captions are found; `json` is an old name of `discovery`."""
    max_num_samples: int | None = option(None, reads=_READ, ge=1)
    """Use a fixed random subset of so many pictures."""


# Keys of an entry that would change what is trained, and that this version does not have; with the value that asks
# for nothing.
REFUSED_KEYS: dict[str, object] = dict.fromkeys(
    "minimum_aspect_ratio maximum_aspect_ratio max_upscale_threshold caption_shuffle caption_filter_list "
    "crop_aspect_buckets end_epoch end_step conditioning_data conditioning_type source_dataset_id conditioning "
    "delete_unwanted_images delete_problematic_images slider_strength grounding parquet csv huggingface".split()
) | {"start_epoch": 1, "start_step": 1, "timestep_sampling_offset": 0, "bucket_mixing": "bucket"}
# Keys of an entry that change how pictures are stored or told about, not what is trained: not read, and told.
UNREAD_KEYS = tuple(
    "preserve_data_backend_cache scan_for_errors hash_filenames video audio metadata_update_interval "
    "write_batch_size".split()
)
RENAMED_KEYS = {"is_regularization_data": "is_regularisation_data", "disable": "disabled"}
RETIRED_KEYS = {"disable_vae_cache": "was removed; use vae_cache_disable"}
REFERENCE_KEYS = ("text_embeds", "image_embeds")
CACHE_TYPES = ("text_embeds", "image_embeds")
CACHE_KEYS = frozenset(
    "id type dataset_type disabled default cache_dir write_batch_size text_encoder_batch_size text_cache_ondemand "
    "text_cache_disable caption_filter_list".split()
)
