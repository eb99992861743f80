"""Before a save: enough room, or what the user wants to happen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simpletuner.assemble.training.space import DiskRoom
from simpletuner.config.sections.report import CheckpointConfig
from simpletuner.core.errors import DataError
from simpletuner.core.events import Event, Notice


class Heard:
    """What was told, and a clock that only this test moves."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.slept = 0.0
        self.asked_after = float("inf")

    def emit(self, event: Event) -> None:
        assert isinstance(event, Notice)
        self.lines.append(event.text)

    def pause(self, seconds: float) -> None:
        self.slept += seconds

    def is_asked(self) -> bool:
        return self.slept >= self.asked_after


def room(folder: Path, heard: Heard, **options: Any) -> DiskRoom:
    return DiskRoom(folder, CheckpointConfig(**options), heard.emit, heard.is_asked, heard.pause)


def test_enough_room_says_nothing(tmp_path: Path) -> None:
    heard = Heard()
    room(tmp_path, heard).require()
    room(tmp_path, heard, disk_low_threshold="1K", disk_low_action="wait").require()
    assert heard.lines == []


def test_too_little_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the disk is low: .* free, 9000\.0 TB wanted before a save") as caught:
        room(tmp_path, Heard(), disk_low_threshold="9000T").require()
    assert caught.value.exit_code == 3
    assert caught.value.key == "disk_low_threshold"


def test_a_wait_looks_again_until_a_signal_comes(tmp_path: Path) -> None:
    heard = Heard()
    heard.asked_after = 95
    room(tmp_path, heard, disk_low_threshold="9000T", disk_low_action="wait").require()
    assert heard.slept == 95
    assert len(heard.lines) == 1
    assert "looking again every 30 s" in heard.lines[0]


def test_a_wait_ends_when_there_is_room(tmp_path: Path) -> None:
    """The threshold is set just above what is free, and a file of its size goes while the run waits."""
    heard = Heard()
    big = tmp_path / "big"
    folder = room(tmp_path, heard, disk_low_threshold="9000T", disk_low_action="wait")
    asked: list[float] = []

    def pause(seconds: float) -> None:
        heard.pause(seconds)
        asked.append(seconds)
        if heard.slept == 60:
            big.write_text("room")

    waiting = Waiting(folder.folder, folder.config, heard.emit, heard.is_asked, pause)
    waiting.require()
    assert heard.slept == 60
    assert heard.lines[-1] == "there is room on the disk again"


class Waiting(DiskRoom):
    """There is room once a file says so: no test can fill a disk of unknown size."""

    def _missing(self) -> str | None:
        return None if (self.folder / "big").exists() else "too little"


def test_a_script_makes_room_or_the_run_ends(tmp_path: Path) -> None:
    heard = Heard()
    mark = tmp_path / "ran"
    options = {"disk_low_threshold": "9000T", "disk_low_action": "script"}
    with pytest.raises(DataError, match="the disk is low"):
        room(tmp_path, heard, **options, disk_low_script=f"touch {mark}").require()
    assert mark.is_file()
    assert "running touch" in heard.lines[0]
    config = CheckpointConfig(**options, disk_low_script=f"touch {tmp_path}/big")
    Waiting(tmp_path, config, heard.emit, heard.is_asked).require()


@pytest.mark.parametrize("script", ["false", "/nowhere/script", "sh -c 'exit 7'"])
def test_a_script_that_fails_ends_the_run(tmp_path: Path, script: str) -> None:
    options = {"disk_low_threshold": "9000T", "disk_low_action": "script"}
    with pytest.raises(DataError, match="disk_low_script: failed") as caught:
        room(tmp_path, Heard(), **options, disk_low_script=script).require()
    assert caught.value.exit_code == 3
