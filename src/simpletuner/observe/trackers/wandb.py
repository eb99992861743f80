"""The only door to Weights & Biases."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simpletuner.core.events import Picture
from simpletuner.core.optional import optional
from simpletuner.observe.trackers.setup import Door, Points, Setup, plain, reason, tag

_log = logging.getLogger(__name__)
_START_SECONDS = 20
_END_SECONDS = 30


class _Wandb:
    def __init__(self, wandb: Any, run: Any, layout: str) -> None:
        self._wandb = wandb
        self._run = run
        self._layout = layout

    def numbers(self, step: int, epoch: int, numbers: Mapping[str, float]) -> None:
        del epoch  # is one of the numbers already
        self._run.log(dict(numbers), step=step)

    def curve(self, step: int, name: str, points: Points) -> None:
        table = self._wandb.Table(columns=["timestep", "eval_loss"], data=[list(point) for point in points])
        title = name.removeprefix("chart/")
        self._run.log({name: self._wandb.plot.line(table, "timestep", "eval_loss", title=title)}, step=step)

    def pictures(self, step: int, pictures: Sequence[Picture]) -> None:
        if self._layout == "table":
            rows = [[step, one.nickname, one.prompt, f"{one.width}x{one.height}", self._shown(one)] for one in pictures]
            table = self._wandb.Table(columns=["step", "name", "prompt", "size", "picture"], data=rows)
            self._run.log({"Validation Gallery": table}, step=step)
            return
        gallery: dict[str, list[Any]] = {}
        for picture in pictures:
            gallery.setdefault(tag(picture), []).append(self._shown(picture))
        self._run.log(gallery, step=step)

    def _shown(self, picture: Picture) -> Any:
        return self._wandb.Image(str(picture.path), caption=tag(picture))

    def finish(self, *, completed: bool) -> None:
        self._run.finish(exit_code=0 if completed else 1)


def open_wandb(setup: Setup) -> Door:
    """Start or go on with a chart; a server that cannot be reached leaves it on this disk, to be sent later.

    The library is told to look at nothing but the machine: no console, no code, no repository.
    """
    wandb = optional("wandb", extra="wandb", needed_for="report_to")
    Path(setup.folder).mkdir(parents=True, exist_ok=True)
    settings = wandb.Settings(
        console="off",
        disable_git=True,
        disable_code=True,
        save_code=False,
        silent=True,
        init_timeout=_START_SECONDS,
        finish_timeout=_END_SECONDS,
        x_stats_pid=setup.process,
    )

    def start(**more: str) -> Any:
        return wandb.init(
            project=plain(setup.project),
            name=setup.run_name,
            id=setup.identity,
            resume="allow",
            dir=setup.folder,
            config=dict(setup.settings),
            settings=settings,
            **more,
        )

    try:
        run = start()
    except wandb.errors.Error as error:
        _log.warning("not reached (%s); charts are kept in %s, `wandb sync` sends them", reason(error), setup.folder)
        # Its service holds on to the run that it could not start.
        wandb.teardown()
        run = start(mode="offline")
    if not run.offline:
        _log.info("charts at %s", run.url)
    return _Wandb(wandb, run, setup.layout)
