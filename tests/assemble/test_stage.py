from __future__ import annotations

from pathlib import Path

import pytest

from simpletuner.assemble.stage import draws_seed, ranks_of, set_stage
from simpletuner.core.ranks import ALONE
from tests.assemble.conftest import dataset, loaded_run, write_scenes


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with one picture."""
    monkeypatch.chdir(tmp_path)
    write_scenes(tmp_path / "cats", ["a.png"])


@pytest.mark.parametrize(("asked", "drawn"), [(7, False), (0, True), (-1, True)])
def test_a_drawn_seed_is_kept_by_a_checkpoint(tmp_path: Path, asked: int, drawn: bool) -> None:
    loaded = loaded_run(tmp_path, [dataset("cats")], seed=asked)
    assert draws_seed(loaded) is drawn
    assert set_stage(loaded, 1234, lambda _event: None).seed == (1234 if drawn else 7)
    assert (set_stage(loaded, None, lambda _event: None).seed == 7) is not drawn


def test_alone_there_is_no_job(tmp_path: Path) -> None:
    stage = set_stage(loaded_run(tmp_path, [dataset("cats")]), None, lambda _event: None)
    assert ranks_of(stage.accelerator) is ALONE
    assert ALONE.job == ""
