"""The only door to SwanLab."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from simpletuner.core.events import Picture
from simpletuner.core.optional import optional
from simpletuner.observe.trackers.setup import Door, Points, Setup, plain, reason, tag

_log = logging.getLogger(__name__)


class _SwanLab:
    def __init__(self, swanlab: Any, run: Any) -> None:
        self._swanlab = swanlab
        self._run = run

    def numbers(self, step: int, epoch: int, numbers: Mapping[str, float]) -> None:
        del epoch  # is one of the numbers already
        self._run.log(dict(numbers), step=step)

    def curve(self, step: int, name: str, points: Points) -> None:
        timesteps, losses = zip(*points, strict=True)
        line = self._swanlab.echarts.Line()
        line.add_xaxis([f"{timestep:g}" for timestep in timesteps]).add_yaxis("eval_loss", list(losses))
        self._run.log({name: line}, step=step)

    def pictures(self, step: int, pictures: Sequence[Picture]) -> None:
        shown: dict[str, list[Any]] = {}
        for picture in pictures:
            with Image.open(picture.path) as image:
                made = self._swanlab.Image(image.convert("RGB"), caption=f"{tag(picture)}: {picture.prompt}")
            shown.setdefault(tag(picture), []).append(made)
        self._run.log(shown, step=step)

    def finish(self, *, completed: bool) -> None:
        state = ("success", None) if completed else ("crashed", "the run did not complete")
        self._run.finish(*state)


def open_swanlab(setup: Setup) -> Door:
    """Start or go on with an experiment; a server that cannot be reached leaves it on this disk, to be sent later.

    What the library would look at by itself, such as printed lines and the repository, is turned off.
    """
    swanlab = optional("swanlab", extra="swanlab", needed_for="report_to")
    Path(setup.folder).mkdir(parents=True, exist_ok=True)
    probe, terminal = {"git": False, "runtime": False}, {"proxy_type": "none"}
    settings = swanlab.Settings(interactive=False, probe=probe, terminal=terminal)

    def start(**more: str) -> Any:
        return swanlab.init(
            project=plain(setup.project),
            name=setup.run_name,
            id=setup.identity,
            resume="allow",
            log_dir=setup.folder,
            config=dict(setup.settings),
            settings=settings,
            **more,
        )

    try:
        run = start()
    except (RuntimeError, OSError, ValueError, swanlab.exceptions.AuthenticationError) as error:
        _log.warning("not reached (%s); charts are kept in %s, `swanlab sync` sends them", reason(error), setup.folder)
        run = start(mode="offline")
    if run.mode == "online":
        _log.info("charts at %s", run.url)
    return _SwanLab(swanlab, run)
