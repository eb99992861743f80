"""Options of checkpoints, of the output folder and of who is told."""

from __future__ import annotations

from simpletuner.config.option import LATER, REQUIRED, Section, option

_PUBLISHING = {"true": f"{LATER}: the result stays in output_dir, upload it with `hf upload`"}


class CheckpointConfig(Section):
    """When the run is saved, how many saves are kept, and where it goes on."""

    checkpoint_step_interval: int = option(500, reads=("training",))
    """Save every so many weight updates; 0 is never."""
    checkpoint_epoch_interval: int | None = option(None, reads=("training",))
    """Save at the end of every so many epochs."""
    checkpoints_total_limit: int = option(5, reads=("training",))
    """Keep at most so many, the newest ones; 0 is no limit."""
    resume_from_checkpoint: str | None = option("latest", reads=("training",))
    """`latest`, or the name or path of a checkpoint; empty starts anew."""


class ReportConfig(Section):
    """Where results go and who hears of them."""

    output_dir: str = option(REQUIRED, reads=("assemble",), examples=["output/my-model"])
    """The folder of checkpoints, pictures and logs; a full path is best."""
    logging_dir: str = option("logs", reads=("observe",))
    """Folder of TensorBoard's files, below `output_dir`."""
    report_to: str = option("none", reads=("observe",))
    """Trackers, separated by commas: `tensorboard`, or `none`."""
    tracker_run_name: str = option("simpletuner-testing", reads=("assemble",))
    """Title in the adapter's metadata."""
    tracker_project_name: str = option("simpletuner", unread="TensorBoard and metrics.jsonl have no projects")
    """Name of the project in trackers."""
    push_to_hub: bool = option(default=False, reads=("config",), refused=_PUBLISHING)
    """Upload the result to the hub."""
    push_checkpoints_to_hub: bool = option(default=False, reads=("config",), refused=_PUBLISHING)
    """Upload every checkpoint to the hub."""
