"""Which chart a run is drawn in: the same for what goes on, another one for what begins."""

from __future__ import annotations

import hashlib
import json
import secrets
from pathlib import Path

from simpletuner.config.run import OPTIONS, RunConfig
from simpletuner.core.files import write_json

FILE = "trackers.json"
# Where, how long and who hears of it: a run that goes on with other values is the same run.
_NOT_OF_IDENTITY = ("checkpoints", "report", "machine", "memory", "validation", "evaluation", "publishing")
_NOT_NAMES = ("max_train_steps", "num_train_epochs")


def chart_identity(config: RunConfig, file: Path) -> str:
    """32 hex digits: a hash of what is trained and how, and of a number in ``file``, which is written when missing.

    So a job that is restarted in the same folder goes on in the same chart, and `--fresh`, which moves the file
    aside, begins another. Raises OSError when the file cannot be written.
    """
    values = config.model_dump(mode="json")
    settings = {
        name: values[option.section][name]
        for name, option in OPTIONS.items()
        if option.section not in _NOT_OF_IDENTITY and name not in _NOT_NAMES
    }
    names = [config.report.tracker_project_name, config.report.tracker_run_name]
    text = json.dumps([settings, names, _number(file)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _number(file: Path) -> str:
    try:
        return str(json.loads(file.read_text("utf-8"))["run"])
    except (OSError, ValueError, KeyError, TypeError):
        made = secrets.token_hex(8)
        write_json(file, {"run": made})
        return made
