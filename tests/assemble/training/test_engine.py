from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from simpletuner.assemble.stage import set_stage
from simpletuner.assemble.training.engine import _own_draws
from simpletuner.training.parallel.processes import Processes
from tests.assemble.conftest import dataset, loaded_run, write_scenes


@pytest.mark.parametrize(
    ("rank", "apart", "draws"), [(0, "true", ()), (1, "true", (1,)), (2, "true", (2,)), (1, "false", ())]
)
def test_processes_draw_apart_inside_the_model_and_the_first_as_one_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: int, apart: str, draws: tuple[int, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_scenes(tmp_path / "cats", ["a.png"])
    stage = set_stage(loaded_run(tmp_path, [dataset("cats")], seed_for_each_device=apart), None, lambda _event: None)
    assert _own_draws(replace(stage, processes=Processes(rank, 3))) == draws
