"""The user's own program beside the run: started for each checkpoint, never waited for."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import pytest

from simpletuner.core.events import CheckpointSaved, Notice, Publishing
from simpletuner.observe.fan_out import FanOut
from simpletuner.observe.script import CheckpointScript, UploadScript


def until(reached: object, seconds: float = 10) -> None:
    assert callable(reached)
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.02)


def listener(script: str, folder: Path, **facts: str) -> CheckpointScript:
    return CheckpointScript(script, facts, folder / "script.log")


def test_each_checkpoint_starts_it_with_its_place_and_step(tmp_path: Path) -> None:
    words = "sh {local_checkpoint_path} {global_step}"
    script = listener(f"sh -c 'echo \"$1|$2|$SIMPLETUNER_GLOBAL_STEP\"' {words}", tmp_path)
    script.hear(Notice("nothing of its business"))
    script.hear(CheckpointSaved(7, tmp_path / "checkpoint-7"))
    script.hear(CheckpointSaved(8, tmp_path, is_final=True))
    until(lambda: (tmp_path / "script.log").read_text() == f"{tmp_path / 'checkpoint-7'}|7|7\n")
    script.close()


def test_a_hostile_name_is_one_word_and_runs_nothing(tmp_path: Path) -> None:
    name = "x; touch pwned $(touch pwned) `touch pwned`"
    script = listener("printf %s {tracker_run_name}", tmp_path, tracker_run_name=name)
    script.hear(CheckpointSaved(1, tmp_path))
    until(lambda: (tmp_path / "script.log").read_text() == name)
    assert not list(tmp_path.rglob("pwned"))
    script.close()


def test_nobody_waits_for_it(tmp_path: Path) -> None:
    script = listener("sleep 3", tmp_path)
    began = time.monotonic()
    script.hear(CheckpointSaved(1, tmp_path))
    script.close()
    assert time.monotonic() - began < 2


def test_a_failure_is_logged_and_nothing_more(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    script = listener("sh -c 'echo why; exit 3'", tmp_path)
    with caplog.at_level(logging.WARNING):
        script.hear(CheckpointSaved(5, tmp_path))
        until(lambda: (tmp_path / "script.log").read_text() == "why\n")

        def told() -> bool:
            script.hear(Notice("later"))
            return "failed for step 5 with exit code 3" in caplog.text

        until(told)
    script.close()
    assert caplog.text.count("failed for step 5") == 1


def test_a_program_that_is_not_there_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    emit = FanOut([listener("/nowhere/program {global_step}", tmp_path)])
    with caplog.at_level(logging.WARNING):
        emit(CheckpointSaved(1, tmp_path))
        emit.close()
    assert "training goes on" in caplog.text


def test_an_upload_starts_the_other_script_when_it_is_there(tmp_path: Path) -> None:
    words = "{local_checkpoint_path} {remote_checkpoint_path} {huggingface_path} {global_step}"
    script = UploadScript(f"echo {words}", {}, tmp_path / "script.log", uploads=True)
    script.hear(CheckpointSaved(4, tmp_path / "checkpoint-4"))
    script.hear(Publishing(4, "uploading_model", tmp_path / "checkpoint-4", "fox/x", "fox/x"))
    script.hear(Publishing(4, "model_available", tmp_path / "checkpoint-4", "https://hub/fox/x", "fox/x"))
    until(lambda: (tmp_path / "script.log").is_file() and (tmp_path / "script.log").read_text())
    assert (tmp_path / "script.log").read_text() == f"{tmp_path / 'checkpoint-4'} https://hub/fox/x fox/x 4\n"
    script.close()


def test_where_nothing_is_uploaded_it_starts_after_each_save(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    script = UploadScript(
        "sh -c 'echo \"$SIMPLETUNER_GLOBAL_STEP\"; exit 1'", {}, tmp_path / "script.log", uploads=False
    )
    script.hear(CheckpointSaved(4, tmp_path / "checkpoint-4"))
    until(lambda: (tmp_path / "script.log").is_file() and (tmp_path / "script.log").read_text() == "4\n")
    script.hear(CheckpointSaved(5, tmp_path, is_final=True))
    until(lambda: (tmp_path / "script.log").read_text() == "4\n5\n")
    with caplog.at_level(logging.WARNING):
        until(lambda: script.close() is None and "step 5" in caplog.text)
    assert "post_upload_script failed for step 4 with exit code 1" in caplog.text
