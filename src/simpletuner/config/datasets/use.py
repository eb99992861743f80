"""How often, when and with what the pictures of a data set are used, and how they are cached."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import field_validator

from simpletuner.config.option import REQUIRED, Section, option
from simpletuner.config.sections.data import CHECKED, NEVER_STALE

_READ = ("data",)


class UseKeys(Section):
    """Uses in an epoch, the schedule, and the pictures that belong to these."""

    repeats: int = option(0, reads=_READ, ge=0)
    """Further uses of each picture in an epoch; 0 uses it once."""
    probability: float = option(1.0, reads=_READ, ge=0)
    """Weight of the data set beside the others; 0 leaves it out."""
    train_batch_size: int = option(4, reads=_READ, ge=1)
    """Pictures in one micro-batch of this data set."""
    bucket_mixing: Literal["bucket", "merge", "pad"] = option("bucket", reads=_READ)
    """`bucket`: a batch is of one size; `merge`: a bucket too small for one joins the nearest; `pad`: sizes mix."""
    is_regularisation_data: bool = option(default=False, reads=_READ)
    """The pictures keep what the model knows, they do not teach the subject."""
    timestep_sampling_offset: float = option(0.0, reads=("training",), ge=-10, le=10)
    """Added to the normal draw before the sigmoid: below 0 less noise (detail), above 0 more (outline)."""
    max_num_samples: int | None = option(None, reads=_READ, ge=1)
    """Use a fixed random subset of so many pictures."""
    maximum_unreadable_percent: float | None = option(None, reads=_READ, ge=0, le=100)
    """End the run, and `check`, when more of the pictures than this cannot be read; unset drops any number."""
    start_epoch: int = option(1, reads=_READ, ge=0)
    """First epoch that uses the data set."""
    start_step: int = option(0, reads=_READ, ge=0)
    """First step that uses the data set."""
    end_epoch: int | None = option(None, reads=_READ, ge=0)
    """Last epoch that uses the data set; 0 is no end."""
    end_step: int | None = option(None, reads=_READ, ge=0)
    """Last step that uses the data set; 0 is no end."""
    conditioning_data: tuple[str, ...] = option((), reads=_READ)
    """Ids of the conditioning data sets whose pictures belong to these."""
    conditioning_type: Literal["mask", "segmentation", "reference_strict", "reference_loose"] | None = option(
        None, reads=_READ, refused={"controlnet": "is not for OmniGen"}
    )
    """What the pictures of a conditioning data set are."""
    source_dataset_id: str | None = option(None, reads=("config",))
    """The data set to whose pictures those of a conditioning data set belong, and whose geometry they take."""
    delete_unwanted_images: bool = option(default=False, reads=_READ)
    """Delete files that a limit leaves out; only with `--yes-delete`."""
    delete_problematic_images: bool = option(default=False, reads=_READ)
    """Delete files that cannot be read; only with `--yes-delete`."""

    @field_validator("end_epoch", "end_step")
    @classmethod
    def _no_end(cls, value: int | None) -> int | None:
        return value or None


class CacheKeys(Section):
    """The latent cache and what is stored beside it."""

    cache_dir_vae: Path = option(REQUIRED, reads=_READ)
    """The folder of the latent cache."""
    vae_cache_clear_each_epoch: bool | None = option(None, reads=_READ)
    """Take new random crops each epoch; not given, where crops are random."""
    vae_cache_ondemand: bool = option(default=False, reads=_READ)
    """Encode during training what the cache does not hold."""
    vae_cache_disable: bool = option(default=False, reads=_READ)
    """Encode during training and store nothing."""
    text_embeds: str | None = option(None, reads=("config",))
    """Id of the `text_embeds` entry whose settings apply; the default entry when not given."""
    image_embeds: str | None = option(None, reads=("config",))
    """Id of an `image_embeds` entry; the latents lie in `cache_dir_vae` all the same."""
    skip_file_discovery: tuple[str, ...] = option((), unread=CHECKED)
    """Stages of the scan to leave out: `aspect`, `vae`, `text`, `metadata`."""
    preserve_data_backend_cache: bool = option(default=False, unread=NEVER_STALE)
    """Keep the list of files from the last run."""
    scan_for_errors: bool = option(default=False, unread=NEVER_STALE)
    """Compare the cache with the pictures."""
    vae_cache_scan_behaviour: Literal["recreate", "sync"] = option("recreate", unread=NEVER_STALE)
    """What is believed where cache and pictures disagree."""
    override_dataset_config: bool = option(default=False, unread=NEVER_STALE)
    """Accept a data set whose settings have changed."""
    metadata_update_interval: int = option(3600, unread="the index is written as it is scanned", ge=60)
    """Seconds between two writes of the index."""
    write_batch_size: int = option(128, unread="cache entries are written one by one, each whole or not at all", ge=1)
    """Cache files written together."""
    hash_filenames: bool = option(default=False, unread="names in the cache are always hashes")
    """Hash the names of cache files."""
