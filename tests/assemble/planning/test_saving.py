from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from simpletuner.assemble.planning import saving
from simpletuner.assemble.planning.saving import measure_saving
from simpletuner.assemble.planning.steps import measure_shape
from simpletuner.assemble.seeing.evaluation import build_evaluator
from simpletuner.assemble.training.engine import build_saver
from simpletuner.core.checkpoints import written_checkpoint
from simpletuner.core.progress import Progress
from simpletuner.training.checkpoint import Saver
from tests.assemble.planning.conftest import World


@pytest.fixture
def saver(world: World) -> Saver:
    """As after an update: before it an optimizer has no state."""
    ready, engine = world.ready, world.engine
    measure_shape(engine, ready.found[1], 10)
    evaluator = build_evaluator(ready.stage, engine, ready.data, ready.text, ready.length)
    return build_saver(ready.stage, engine, world.built.laid, ready.data, ready.length, evaluator)


def test_a_checkpoint_takes_what_a_run_writes(
    saver: Saver, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    found = measure_saving(saver, world.loaded, 10, 3)
    assert list((tmp_path / "scratch").iterdir()) == []
    saver.save(lambda: written_checkpoint(tmp_path, 10), Progress(step=10))
    written = sum(file.stat().st_size for file in (tmp_path / "checkpoint-10").rglob("*") if file.is_file())
    assert found.each == written
    assert (found.count, found.kept, found.folder) == (3, 3, Path("output"))
    assert found.bytes == 3 * found.each + found.final
    assert found.seconds_each is not None
    assert found.free is not None
    monkeypatch.setattr(saving, "_MOST_WRITTEN", 0)
    counted = measure_saving(saver, world.loaded, 10, 3)
    assert counted.seconds_each is None
    # The headers of small files are a part of them.
    assert counted.each == pytest.approx(found.each, rel=0.1)
    assert counted.final == pytest.approx(found.final, rel=0.1)
