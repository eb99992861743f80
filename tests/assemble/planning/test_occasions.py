from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simpletuner.assemble.planning.occasions import Occasions, _progress, occasions
from simpletuner.assemble.training.length import Length
from simpletuner.core.samples import SampleId
from simpletuner.data.order.calendar import Calendar
from simpletuner.data.order.plan import PlannedDataset
from tests.assemble.conftest import dataset, loaded_run, write_scenes

SAMPLES = [SampleId("d", str(number)) for number in range(6)]
# Three updates an epoch.
CALENDAR = Calendar([PlannedDataset("d", {"1.0": SAMPLES}, 0, 2)], seed=1)
QUIET = {"validation_step_interval": 0, "checkpoint_step_interval": 0}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (QUIET, (0, 0, 1)),
        ({"validation_step_interval": 5, "checkpoint_step_interval": 4}, (2, 0, 3)),
        ({"validation_step_interval": 4, "checkpoint_step_interval": 5}, (3, 0, 2)),
        ({**QUIET, "validation_on_startup": True}, (2, 0, 1)),
        ({**QUIET, "validation_epoch_interval": 1}, (4, 0, 1)),
        ({**QUIET, "validation_epoch_interval": 2, "checkpoint_epoch_interval": 1}, (2, 0, 4)),
        ({**QUIET, "checkpointing_rolling_steps": 2}, (0, 0, 6)),
        ({"validation_step_interval": 5, "validate_after_step": 6, "checkpoint_step_interval": 0}, (1, 0, 1)),
        ({**QUIET, "eval_steps_interval": 3}, (0, 3, 1)),
        ({**QUIET, "eval_epoch_interval": 0.5}, (0, 6, 1)),
    ],
)
def test_counts(
    options: dict[str, Any], expected: tuple[int, int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_scenes(tmp_path / "d", ["a.png"])
    loaded = loaded_run(tmp_path, [dataset("d")], **options)
    assert occasions(loaded, CALENDAR, Length(10, 4, 3, 2)) == Occasions(*expected)


def test_where_the_run_stands_is_where_the_loop_would() -> None:
    found = [(progress.step, progress.epoch, progress.epoch_step, ended) for progress, ended in _progress(CALENDAR, 4)]
    assert found == [(1, 0, 1, False), (2, 0, 2, False), (3, 1, 0, True), (4, 1, 1, False)]
