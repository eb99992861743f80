"""The only door to Comet."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simpletuner.core.events import Picture
from simpletuner.core.optional import optional
from simpletuner.observe.trackers.setup import Door, Points, Setup, reason, tag

_log = logging.getLogger(__name__)


class _Comet:
    def __init__(self, experiment: Any) -> None:
        self._experiment = experiment

    def numbers(self, step: int, epoch: int, numbers: Mapping[str, float]) -> None:
        self._experiment.log_metrics(dict(numbers), step=step, epoch=epoch or None)

    def curve(self, step: int, name: str, points: Points) -> None:
        timesteps, losses = zip(*points, strict=True)
        self._experiment.log_curve(name, list(timesteps), list(losses), step=step)

    def pictures(self, step: int, pictures: Sequence[Picture]) -> None:
        for picture in pictures:
            metadata = {"prompt": picture.prompt}
            self._experiment.log_image(str(picture.path), name=tag(picture), step=step, metadata=metadata)

    def finish(self, *, completed: bool) -> None:
        self._experiment.log_other("completed", completed)
        self._experiment.end()


def open_comet(setup: Setup) -> Door:
    """Start or go on with an experiment; one that cannot be online is kept on this disk, to be sent later.

    Whatever the library would look at by itself, such as printed lines, code and arguments, is turned off.
    """
    comet = optional("comet_ml", extra="comet", needed_for="report_to")
    Path(setup.folder).mkdir(parents=True, exist_ok=True)
    looks_at = ("log_code", "log_graph", "parse_args", "log_git_metadata", "log_git_patch", "auto_output_logging")
    autos = ("auto_param_logging", "auto_metric_logging", "auto_log_co2")
    config = comet.ExperimentConfig(
        name=setup.run_name,
        offline_directory=setup.folder,
        display_summary_level=0,
        **dict.fromkeys((*looks_at, *autos), False),
    )

    def start(*, online: bool | None) -> Any:
        return comet.start(
            project_name=setup.project,
            experiment_key=setup.identity,
            mode="get_or_create",
            online=online,
            experiment_config=config,
        )

    try:
        experiment = start(online=None)
    except (ValueError, OSError, comet.exceptions.CometException) as error:
        _log.warning("not reached (%s); charts are kept in %s, `comet upload` sends them", reason(error), setup.folder)
        experiment = start(online=False)
    experiment.log_parameters(dict(setup.settings))
    if experiment.url:
        _log.info("charts at %s", experiment.url)
    return _Comet(experiment)
