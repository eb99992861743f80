"""Options of checkpoints, of the output folder and of who is told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import SecretStr

from simpletuner.config.lenient import OBJECT_TOO
from simpletuner.config.option import REQUIRED, Section, option


class CheckpointConfig(Section):
    """When the run is saved, how many saves are kept, and where it goes on."""

    checkpoint_step_interval: int = option(500, reads=("training",))
    """Save every so many weight updates; 0 is never."""
    checkpoint_epoch_interval: int | None = option(None, reads=("training",))
    """Save at the end of every so many epochs."""
    checkpoints_total_limit: int = option(5, reads=("training",))
    """Keep at most so many, the newest ones; 0 is no limit."""
    checkpointing_rolling_steps: int = option(0, reads=("training",), ge=0)
    """Save a further checkpoint, `checkpoint-<step>-rolling`, every so many weight updates; 0 is never."""
    checkpoints_rolling_total_limit: int = option(1, reads=("training",))
    """Keep at most so many rolling checkpoints; 0 is no limit."""
    checkpointing_use_tempdir: bool = option(default=False, unread="every save is made in a hidden folder first")
    """Write a checkpoint into a temporary folder first."""
    delete_invalid_checkpoints: bool = option(default=False, reads=("assemble",))
    """With `latest`, delete newer checkpoints that are damaged, once a whole one is found."""
    disk_low_threshold: str | None = option(None, reads=("assemble",), examples=["20G"])
    """Free space wanted before a save: `100G`, `50M`, `1T`, `500K` or bytes."""
    disk_low_action: Literal["stop", "wait", "script"] = option("stop", reads=("assemble",))
    """What happens with less: the run ends, looks again every 30 seconds, or runs `disk_low_script`."""
    disk_low_script: str | None = option(None, reads=("assemble",))
    """The command that makes room; the run ends if it fails or if there is still too little."""
    post_checkpoint_script: str | None = option(
        None, reads=("observe",), examples=["./copy.sh {local_checkpoint_path} {global_step}"]
    )
    """A command started beside the run after each checkpoint; that it failed is logged only."""
    i_know_what_i_am_doing: bool = option(default=False, reads=("assemble",))
    """Let a resumed run have another batch size; the epoch then begins again."""
    resume_from_checkpoint: str | None = option("latest", reads=("assemble",))
    """`latest`, or the name or path of a checkpoint, or its address in an S3 store of `publishing_config`; empty starts
    anew."""


class ReportConfig(Section):
    """Where results go and who hears of them."""

    output_dir: str = option(REQUIRED, reads=("assemble",), examples=["output/my-model"])
    """The folder of checkpoints, pictures and logs; a full path is best."""
    logging_dir: str = option("logs", reads=("observe",))
    """Folder of TensorBoard's files, below `output_dir`."""
    report_to: str = option("none", reads=("observe",))
    """Trackers, separated by commas: `tensorboard`, `wandb`, `comet_ml`, `swanlab`, `simpletuner` (a page in
    `output_dir`), `all` of them that are installed, or `none`. See docs/trackers.md."""
    tracker_run_name: str = option("simpletuner-testing", reads=("assemble", "observe"))
    """Name of the run in trackers; title in the adapter's metadata."""
    tracker_project_name: str = option("simpletuner", reads=("assemble", "observe"))
    """Name of the project in trackers, and before messages to Discord."""
    tracker_image_layout: Literal["gallery", "table"] = option("gallery", reads=("observe",))
    """Pictures in Weights & Biases: one by one, or in one table, "Validation Gallery"."""
    webhook_config: Annotated[SecretStr, OBJECT_TOO] | None = option(
        None, reads=("config",), examples=["webhooks.json"]
    )
    """Who is told over http: a JSON file, JSON, an object or a list of objects. See docs/webhooks.md."""
