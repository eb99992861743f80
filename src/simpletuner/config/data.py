"""Options of the pictures: what every data set has unless its own entry says otherwise."""

from __future__ import annotations

from typing import Literal

from simpletuner.config.option import Section, option

CHECKED = "the index of every data set is checked at each start; that takes seconds"
_SIXTEEN = "is refused: the sizes of OmniGen's pictures are multiples of 16"
ALIGNMENT_REFUSED = {"8": _SIXTEEN, "24": _SIXTEEN}
CAPTION_SPELLINGS = {"instance_prompt": "instanceprompt"}


class DataConfig(Section):
    """Where the data sets are described, and the defaults of their entries."""

    data_backend_config: str | None = option(None, reads=("config",), examples=["config/multidatabackend.json"])
    """The dataloader file, which lists the data sets."""
    resolution: float = option(1024.0, reads=("data",), gt=0)
    """Size of the training pictures, in the unit of `resolution_type`."""
    resolution_type: Literal["pixel_area", "pixel", "area"] = option("pixel_area", reads=("data",))
    """`pixel_area`: edge of a square with the wanted area; `pixel`: shorter edge; `area`: megapixels."""
    minimum_image_size: float | None = option(None, reads=("data",), ge=0)
    """Smaller pictures are left out; 0 is no limit. In the unit of `resolution_type`."""
    maximum_image_size: float | None = option(None, reads=("data",), ge=0)
    """Larger pictures are first scaled to `target_downsample_size`."""
    target_downsample_size: float | None = option(None, reads=("data",), ge=0)
    """Size to which pictures above `maximum_image_size` are scaled before they are cropped."""
    aspect_bucket_rounding: int = option(2, reads=("data",), ge=1, le=9)
    """Decimal places of an aspect ratio."""
    aspect_bucket_alignment: Literal[16, 32, 64] = option(64, reads=("data",), refused=ALIGNMENT_REFUSED)
    """Edges of the training pictures are multiples of this."""
    caption_strategy: Literal["filename", "textfile", "instanceprompt"] = option(
        "filename", reads=("data",), respelled=CAPTION_SPELLINGS
    )
    """Where captions come from: the file's name, a `.txt` beside it, or `instance_prompt`."""
    instance_prompt: str | None = option(None, reads=("data",))
    """The caption of `instanceprompt`, and the text for the two options below."""
    prepend_instance_prompt: bool = option(default=False, reads=("data",))
    """Put `instance_prompt` before every caption."""
    only_instance_prompt: bool = option(default=False, reads=("data",))
    """Use `instance_prompt` for every picture."""
    caption_dropout_probability: float = option(0.0, reads=("training",), ge=0, le=1)
    """Chance that a use of a picture trains with the unconditional prompt; 0.1 helps guidance."""
    vae_batch_size: int = option(4, reads=("data",), ge=1)
    """Pictures encoded together when the latents are cached."""
    vae_cache_ondemand: bool = option(default=False, reads=("data",))
    """Encode during training what the cache does not hold, then store it."""
    vae_cache_disable: bool = option(default=False, reads=("data",))
    """Encode during training and store nothing."""
    cache_dir: str | None = option(None, reads=("config",))
    """Base of the caches that have no folder of their own; `<output_dir>/cache` when not given."""
    cache_dir_vae: str | None = option(None, reads=("config",))
    """Base of the latent caches; each data set has a folder below it."""
    cache_dir_text: str | None = option(None, reads=("config",))
    """Folder of the token cache."""
    write_batch_size: int = option(128, unread="cache entries are written one by one, each whole or not at all", ge=1)
    """Cache files written together."""
    metadata_update_interval: int = option(3600, unread="the index is written as it is scanned", ge=60)
    """Seconds between two writes of the index."""
    skip_file_discovery: str | None = option(None, unread=CHECKED)
    """Stages of the scan to leave out."""
