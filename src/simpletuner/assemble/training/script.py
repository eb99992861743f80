"""The scripts of a run's checkpoints and uploads, with what they may know of the run."""

from __future__ import annotations

from pathlib import Path

from simpletuner.assemble.training.output import SCRIPT_LOG, UPLOAD_LOG
from simpletuner.config.option import spelled
from simpletuner.config.run import RunConfig
from simpletuner.observe.script import CheckpointScript, UploadScript


def checkpoint_script(config: RunConfig) -> CheckpointScript | None:
    """The listener that starts ``post_checkpoint_script``; None without one."""
    script = config.checkpoints.post_checkpoint_script
    if script is None:
        return None
    return CheckpointScript(script, _facts(config), Path(config.report.output_dir) / SCRIPT_LOG)


def upload_script(config: RunConfig) -> UploadScript | None:
    """The listener that starts ``post_upload_script``; None without one."""
    ours = config.publishing
    if ours.post_upload_script is None:
        return None
    uploads = ours.push_to_hub or ours.publishing_config is not None
    log = Path(config.report.output_dir) / UPLOAD_LOG
    return UploadScript(ours.post_upload_script, _facts(config), log, uploads=uploads)


def _facts(config: RunConfig) -> dict[str, str]:
    options = {
        "tracker_run_name": config.report.tracker_run_name,
        "tracker_project_name": config.report.tracker_project_name,
        "model_family": config.model.model_family,
        "model_type": config.model.model_type,
        "lora_type": config.adapter.lora_type,
        **config.validation.model_dump(mode="json"),
    }
    return {name: "" if value is None else spelled(value) for name, value in options.items()}
