"""A hub on loopback, a run as it is configured, and who carries jobs to it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from simpletuner.config.load import LoadedRun, load_run
from simpletuner.config.reading.find import Selection
from simpletuner.observe.publish.courier import Courier
from tests.observe.publish.hub_server import TOKEN, Hub, running_hub
from tests.runs.conftest import lay_out

Loading = Callable[..., LoadedRun]


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A hub that takes everything."""
    with running_hub() as running:
        yield running


@pytest.fixture
def courier(hub: Hub) -> Iterator[Courier]:
    """Carries to ``hub``."""
    carrier = Courier({**os.environ, **hub.environ()}, lambda text: text.replace(TOKEN, "***"))
    yield carrier
    carrier.close()


@pytest.fixture
def loading(tmp_path: Path) -> Loading:
    """The small run of ``tests/runs`` with other options."""
    root = lay_out(tmp_path)

    def load(**options: str) -> LoadedRun:
        return load_run(Selection(), options, root, {"HOME": "/nowhere", "MY_TOKEN": "canary-9876543210"})

    return load
