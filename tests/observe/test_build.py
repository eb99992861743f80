from __future__ import annotations

import logging
import math
from pathlib import Path

import pytest

from simpletuner.core.errors import ConfigError, DataError
from simpletuner.core.events import Notice, RunEnded, RunStarted, StepDone
from simpletuner.observe.build import Terminal, build_listeners


def short_run(report_to: list[str], out: Path) -> None:
    emit = build_listeners(report_to, out, "logs", 0, terminal=Terminal(interactive=False))
    emit(RunStarted("my run", out, 0, 1, 1))
    emit(StepDone(1, 1, 1, 0.5, 1e-4, 0.1, 1))
    emit(RunEnded(1, "completed", 1.0))
    emit.close()


@pytest.mark.parametrize(
    ("report_to", "charts"), [(["tensorboard"], True), (["all"], True), (["none"], False), ([], False)]
)
def test_metrics_are_always_written_and_charts_when_asked(
    report_to: list[str], charts: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short_run(report_to, tmp_path)
    assert (tmp_path / "metrics.jsonl").read_text().count("\n") == 1
    assert (tmp_path / "logs").exists() == charts
    shown = capsys.readouterr().out
    assert "completed: 1 step in 0:00:01" in shown
    assert "\x1b" not in shown


def test_an_unknown_tracker_is_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no tracker 'tensorbord'") as caught:
        build_listeners(["tensorbord"], tmp_path, "logs", 0)
    assert caught.value.key == "report_to"
    assert "tensorboard" in str(caught.value.cure)


def test_charts_that_cannot_start_do_not_stop_the_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        short_run(["tensorboard"], tmp_path)
    assert "training goes on without it" in caplog.text
    assert (tmp_path / "metrics.jsonl").stat().st_size > 0


def test_a_metrics_file_that_cannot_be_written_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(DataError, match=r"metrics\.jsonl"):
        build_listeners([], tmp_path, "logs", 0)


def test_the_smoothed_loss_goes_on_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    losses = {1: 8.0, 2: 1.0, 3: math.nan, 4: 3.0}

    def lines(first: int, last: int, *, interactive: bool) -> str:
        emit = build_listeners([], tmp_path, "logs", first, terminal=Terminal(interactive=interactive))
        emit(RunStarted("my run", tmp_path, first, 4, 1))
        for number in range(first + 1, last + 1):
            emit(StepDone(number, 1, 4, losses[number], 1e-4, 0.1, 1))
        emit.close()
        return capsys.readouterr().out

    assert "smoothed loss 3.9665" in lines(0, 4, interactive=False).splitlines()[-1]
    lines(0, 3, interactive=False)
    assert "smoothed loss 3.9665" in lines(3, 4, interactive=False)
    lines(0, 3, interactive=False)
    assert "smoothed loss 3.9665" in lines(3, 4, interactive=True)
    # A fresh run knows nothing of the one before it.
    assert "smoothed loss 8.0000" in lines(0, 1, interactive=False)


def test_more_listeners_hear_what_the_others_hear(tmp_path: Path) -> None:
    heard: list[object] = []

    class Ear:
        def hear(self, event: object) -> None:
            heard.append(event)

        def close(self) -> None:
            heard.append("closed")

    emit = build_listeners([], tmp_path, "logs", 0, more=[Ear()], terminal=Terminal(interactive=False))
    emit(Notice("told"))
    emit.close()
    assert heard == [Notice("told"), "closed"]


def test_without_a_terminal_plain_lines_are_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    emit = build_listeners([], tmp_path, "logs", 0)
    emit(Notice("told"))
    emit.close()
    assert capsys.readouterr().out == "told\n"
