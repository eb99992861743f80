"""How the pictures of a data set are cut, and which captions they have."""

from __future__ import annotations

from typing import Literal

from simpletuner.config.datasets.blocks import AspectChoice, CaptionShuffle
from simpletuner.config.option import Section, option
from simpletuner.config.sections.data import ALIGNMENT_REFUSED, CAPTION_SPELLINGS, CaptionStrategy

_READ = ("data",)


class PictureKeys(Section):
    """Sizes and crops. Sizes are in the unit of ``resolution_type``."""

    resolution: float = option(1024.0, reads=_READ, gt=0)
    """Size of the training pictures."""
    resolution_type: Literal["pixel_area", "pixel", "area"] = option("pixel_area", reads=_READ)
    """The unit of the sizes."""
    crop: bool = option(default=False, reads=_READ)
    """Crop the pictures; without it only what exceeds the bucket is trimmed."""
    crop_aspect: Literal["square", "preserve", "closest", "random"] = option("square", reads=_READ)
    """Shape of the crop: a square, the picture's own, or the nearest or a random one of `crop_aspect_buckets`."""
    crop_aspect_buckets: tuple[AspectChoice, ...] = option((), reads=_READ)
    """Aspects (width / height) for `closest` and `random`: numbers, or objects with `aspect` and `weight`."""
    crop_style: Literal["random", "center", "corner", "face"] = option(
        "random", reads=_READ, respelled={"centre": "center"}
    )
    """Where the crop is taken; `face` is around a face, and random where there is none."""
    minimum_image_size: float | None = option(None, reads=_READ, ge=0)
    """Smaller pictures are left out; 0 is no limit."""
    maximum_image_size: float | None = option(None, reads=_READ, ge=0)
    """Larger pictures are first scaled to `target_downsample_size`."""
    target_downsample_size: float | None = option(None, reads=_READ, ge=0)
    """Size to which pictures above `maximum_image_size` are scaled."""
    minimum_aspect_ratio: float | None = option(None, reads=_READ, gt=0)
    """Buckets that are narrower (width / height) are left out."""
    maximum_aspect_ratio: float | None = option(None, reads=_READ, gt=0)
    """Buckets that are wider (width / height) are left out."""
    max_upscale_threshold: float | None = option(None, reads=_READ, ge=0, le=1)
    """Most that a picture may lack of its bucket's mean edge: 0.2 lets edges grow by a quarter, others are left out."""
    aspect_bucket_alignment: Literal[16, 32, 64] = option(64, reads=_READ, refused=ALIGNMENT_REFUSED)
    """Edges of the training pictures are multiples of this."""
    aspect_bucket_rounding: int = option(2, reads=_READ, ge=1, le=9)
    """Decimal places of an aspect ratio."""


class CaptionKeys(Section):
    """Captions. Those of a conditioning data set are not read."""

    caption_strategy: CaptionStrategy = option("filename", reads=_READ, respelled=CAPTION_SPELLINGS)
    """Where captions come from."""
    instance_prompt: tuple[str, ...] = option((), reads=_READ)
    """The caption of `instanceprompt`, and the text of the next two keys; of several, one is drawn at each use."""
    prepend_instance_prompt: bool = option(default=False, reads=_READ)
    """Put `instance_prompt` before every caption."""
    only_instance_prompt: bool = option(default=False, reads=_READ)
    """Use `instance_prompt` for every picture."""
    disable_multiline_split: bool = option(default=False, reads=_READ)
    """A text file is one caption, not one on each line."""
    caption_shuffle: CaptionShuffle = option(CaptionShuffle(), reads=_READ)
    """Captions of tags, trained in several orders."""
    caption_filter_list: tuple[str, ...] = option((), reads=_READ)
    """What is removed from captions. It is written on the `text_embeds` entry that the data set uses."""
