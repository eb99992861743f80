"""Options of the pictures: what every data set has unless its own entry says otherwise."""

from __future__ import annotations

from typing import Literal

from simpletuner.config.option import Section, option

CaptionStrategy = Literal["filename", "textfile", "instanceprompt", "parquet", "huggingface", "csv", "webshart"]

CHECKED = "the index of every data set is checked at each start; that takes seconds"
NEVER_STALE = "nothing can be stale: the index is checked at each start, and latents are found by their content"
NO_TEXT_ENCODER = "OmniGen has no text encoder: its captions become tokens, which takes moments"
_WRITTEN = "report.json and `simpletuner check` tell of every file, bucket and batch"
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
    max_upscale_threshold: float | None = option(None, reads=("data",), ge=0, le=1)
    """Most that a picture may lack of its bucket's mean edge: 0.2 lets edges grow by a quarter, others are left out."""
    aspect_bucket_disable_rebuild: bool = option(default=False, reads=("data",))
    """Keep the random aspects of the first epoch; new random crops are taken all the same."""
    disable_bucket_pruning: bool | None = option(None, reads=("data",))
    """`false` leaves out buckets that cannot fill one micro-batch; not given, they are trained as short batches."""
    allow_dataset_oversubscription: bool = option(default=False, reads=("data",))
    """Use the pictures of a bucket that is too small again until it is not, where `repeats` is 0."""
    data_backend_sampling: Literal["auto-weighting", "uniform"] = option("auto-weighting", reads=("data",))
    """How data sets take turns: by `probability` and size, or by `probability` alone."""
    conditioning_multidataset_sampling: Literal["random", "combined"] = option("random", reads=("data",))
    """Of several data sets of references, one is drawn at each use, or all stand in the prompt in their order."""
    ignore_missing_files: bool = option(default=False, unread="a file that has vanished is left out by name")
    """Go on when a file has vanished since the scan."""
    delete_unwanted_images: bool = option(default=False, reads=("data",))
    """Delete files that a limit leaves out; only with `--yes-delete`."""
    delete_problematic_images: bool = option(default=False, reads=("data",))
    """Delete files that cannot be read; only with `--yes-delete`."""
    caption_strategy: CaptionStrategy = option("filename", reads=("data",), respelled=CAPTION_SPELLINGS)
    """Where captions come from: the file's name, a `.txt` beside it, `instance_prompt`, or a table."""
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
    max_workers: int = option(32, reads=("data",), ge=1)
    """Threads that read pictures."""
    read_batch_size: int = option(25, reads=("data",), ge=1)
    """Pictures read ahead of the encoder."""
    aws_max_pool_connections: int = option(128, reads=("data",), ge=1)
    """Connections to an S3-compatible store."""
    aspect_bucket_worker_count: int = option(12, unread="max_workers threads read the sizes", ge=1)
    """Workers that read the sizes of pictures."""
    enable_multiprocessing: bool = option(default=False, unread="reading waits for the disk, and threads can wait")
    """Processes instead of threads for the scan."""
    image_processing_batch_size: int = option(32, unread="pictures are scaled and cropped as they are read", ge=1)
    """Pictures waiting to be scaled and cropped."""
    compress_disk_cache: bool = option(
        default=False, unread="entries are read in place and checked; latents hardly compress"
    )
    """Compress the caches."""
    text_cache_ondemand: bool = option(default=False, unread=NO_TEXT_ENCODER)
    """Encode captions during training."""
    text_cache_disable: bool = option(default=False, unread=NO_TEXT_ENCODER)
    """Encode captions during training and store nothing."""
    vae_cache_scan_behaviour: Literal["recreate", "sync"] = option("recreate", unread=NEVER_STALE)
    """What is believed where cache and pictures disagree."""
    preserve_data_backend_cache: bool = option(default=False, unread=NEVER_STALE)
    """Keep the lists of files from the last run."""
    override_dataset_config: bool = option(default=False, unread=NEVER_STALE)
    """Accept data sets whose settings have changed."""
    print_filenames: bool = option(default=False, unread=_WRITTEN)
    """Show the files of every batch."""
    print_sampler_statistics: bool = option(default=False, unread=_WRITTEN)
    """Show what was drawn from which data set."""
    debug_aspect_buckets: bool = option(default=False, unread=_WRITTEN)
    """Show how pictures come into buckets."""
    debug_dataset_loader: bool = option(default=False, unread=_WRITTEN)
    """Show how data sets are read."""
