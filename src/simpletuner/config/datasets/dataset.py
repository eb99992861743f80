"""One data set of the dataloader file."""

from __future__ import annotations

from typing import Literal

from simpletuner.config.datasets.pictures import CaptionKeys, PictureKeys
from simpletuner.config.datasets.storage import StorageKeys
from simpletuner.config.datasets.use import CacheKeys, UseKeys
from simpletuner.config.option import LATER, REQUIRED, Section, option

_NOT_OMNIGEN = "is not for OmniGen"


class IdentityKeys(Section):
    """What a data set is called and what it is for."""

    id: str = option(REQUIRED, reads=("data",), examples=["my-pictures"])
    """The name of the data set, unique in the file. It ties the data set to its cache: keep it."""
    dataset_type: Literal["image", "eval", "conditioning"] = option(
        "image",
        reads=("data",),
        refused=dict.fromkeys(("video", "audio", "caption", "conditioning_image_embeds"), _NOT_OMNIGEN),
    )
    """`image` is trained on; `eval` never is, its loss is measured; `conditioning` are masks or reference pictures."""


class DatasetConfig(CacheKeys, UseKeys, CaptionKeys, PictureKeys, StorageKeys, IdentityKeys):
    """A data set of pictures, with the global options already beneath its own keys.

    Sizes are in the unit of ``resolution_type``; folders are full paths. References between data sets are resolved:
    ``conditioning_data`` also names the data sets whose ``source_dataset_id`` is this one.
    """

    @property
    def hub_captions(self) -> tuple[str, ...]:
        """The columns of a hub data set's captions, wherever they are written; empty where none is named."""
        return self.huggingface.caption_column or self.caption_column


# Keys of an entry that would change what is trained, and why they are refused where they ask for something.
REFUSED_KEYS = {
    "conditioning": f"{LATER}: make the pictures yourself and describe them as a conditioning data set",
    "slider_strength": f"{LATER}: slider adapters are not trained",
    "grounding": f"{LATER}: OmniGen is not given boxes",
    "caption_filter_list": "belongs to a text_embeds entry: its list is used by every data set that names it",
}
_PICTURES_ONLY = "OmniGen is trained on pictures"
UNREAD_KEYS = {"video": _PICTURES_ONLY, "audio": _PICTURES_ONLY}
RENAMED_KEYS = {"is_regularization_data": "is_regularisation_data", "disable": "disabled"}
RETIRED_KEYS = {"disable_vae_cache": "was removed; use vae_cache_disable"}
# No record may hold them; none of them decides what is trained.
SECRET_KEYS = frozenset({"aws_access_key_id", "aws_secret_access_key"})
