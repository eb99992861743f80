from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

from simpletuner.core.events import Evaluated, Event, ImagesRendered, Picture, RunEnded, RunStarted, StepDone
from simpletuner.observe.trackers.process import TrackerProcess
from simpletuner.observe.trackers.setup import Setup

OFFLINE = {"WANDB_MODE": "offline", "COMET_START_ONLINE": "false", "SWANLAB_MODE": "offline"}
# They must not find this machine's own files and variables.
_HIDDEN = ("WANDB_", "COMET_", "SWANLAB_", "NETRC")

Tell = Callable[..., list[float]]


def require_package(module: str) -> None:
    """Skip without a package of the extra `trackers`; under REQUIRE_TOOLS=1 (CI) fail."""
    if find_spec(module) is None:
        if os.environ.get("REQUIRE_TOOLS") == "1":
            pytest.fail(f"needs the package {module}")
        pytest.skip(f"needs the package {module}")


@pytest.fixture
def clean(tmp_path: Path) -> dict[str, str]:
    """An environment in which no tracker finds anything of this machine's."""
    found = {name: value for name, value in os.environ.items() if not name.startswith(_HIDDEN)}
    return found | {"HOME": str(tmp_path / "home")}


@pytest.fixture
def events(tmp_path: Path) -> list[Event]:
    """A short run, with everything that trackers are told."""
    Image.new("RGB", (64, 48), "red").save(tmp_path / "cat.png")
    curve = {"chart/loss/val/held/0.125": 1.25, "chart/loss/val/held/0.500": 0.75}
    picture = Picture(tmp_path / "cat.png", "cat", "a cat", 64, 48)
    return [
        RunStarted("x", tmp_path, 0, 2, 1, ("a line",)),
        StepDone(1, 1, 2, 0.515625, 1e-3, 0.1, 4, {"grad_norm": 1.5, "nothing": float("nan")}),
        StepDone(2, 1, 2, 0.25, 1e-3, 0.1, 4, {"grad_norm": 1.0}),
        Evaluated(2, 1, {"loss/val/held": 1.0, **curve}),
        ImagesRendered(2, "validation", (picture,)),
        RunEnded(2, "completed", 1.0),
    ]


@pytest.fixture
def tell(tmp_path: Path, events: list[Event], clean: dict[str, str]) -> Iterator[Tell]:
    """Tell a tracker in its process a short run; the seconds that each event took the teller, and the end."""

    def told(
        tracker: str, more: dict[str, str] | None = None, *, at_end: float = 60.0, layout: str = "gallery"
    ) -> list[float]:
        setup = Setup(
            tracker, "my project", "my run", "ab" * 16, str(tmp_path / tracker), layout, os.getpid(), {"rank": 16}
        )
        listener = TrackerProcess(setup, clean | (OFFLINE if more is None else more), at_end)
        times = []
        for event in events:
            began = time.perf_counter()
            listener.hear(event)
            times.append(time.perf_counter() - began)
        began = time.perf_counter()
        listener.close()
        return [*times, time.perf_counter() - began]

    yield told
