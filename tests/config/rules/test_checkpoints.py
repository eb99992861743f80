"""Mistakes in the options of checkpoints, and what is said of those that rest."""

from __future__ import annotations

from typing import Any

import pytest

from simpletuner.core.errors import ConfigError


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"disk_low_threshold": "ten"}, "disk_low_threshold: 'ten' is no size; write 100G"),
        ({"disk_low_threshold": "1.5G"}, "disk_low_threshold: '1.5G' is no size"),
        ({"disk_low_threshold": "1G", "disk_low_action": "delete"}, "disk_low_action: unknown value 'delete'"),
        ({"disk_low_threshold": "1G", "disk_low_action": "script"}, "disk_low_script: is missing"),
        ({"disk_low_script": "rm {local_checkpoint_path}"}, "disk_low_script: has no placeholders"),
        ({"disk_low_script": "rm 'x"}, "disk_low_script: cannot be split"),
        ({"post_checkpoint_script": "cp {checkpoint}"}, "post_checkpoint_script: nothing is called {checkpoint}"),
        ({"post_upload_script": "notify {place}"}, "post_upload_script: nothing is called {place}"),
        ({"checkpointing_rolling_steps": -1}, "checkpointing_rolling_steps"),
        ({"checkpoints_rolling_interval": 5}, "checkpoints_rolling_interval: unknown option"),
    ],
)
def test_mistakes(project: Any, options: Any, told: str) -> None:
    project.set(**options)
    with pytest.raises(ConfigError) as caught:
        project.load()
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"checkpoints_total_limit": 1}, "checkpoints_total_limit 1: the newest two checkpoints always stay"),
        ({"disk_low_action": "wait"}, "not read: disk_low_action (disk_low_threshold is not given)"),
        ({"checkpoints_rolling_total_limit": 3}, "not read: checkpoints_rolling_total_limit"),
        ({"checkpointing_use_tempdir": True}, "use_tempdir (every save is made in a hidden folder first)"),
    ],
)
def test_what_is_told(project: Any, options: Any, told: str) -> None:
    project.set(**options)
    assert any(told in notice for notice in project.load().notices)


def test_a_named_checkpoint_must_be_there(project: Any) -> None:
    here = project.root / "output/models-omnigen"
    (here / "checkpoint-5").mkdir(parents=True)
    (project.root / "mine").mkdir()
    for asked in ("checkpoint-5", "mine", str(project.root / "mine"), "latest", "", "s3://bucket/checkpoint-9"):
        project.set(resume_from_checkpoint=asked)
        assert project.load().config.checkpoints.resume_from_checkpoint == (asked or None)
    for asked in ("checkpoint-77", "runs/checkpoint-5"):
        project.set(resume_from_checkpoint=asked)
        with pytest.raises(ConfigError) as caught:
            project.load()
        assert f"{project.config}: resume_from_checkpoint: there is no checkpoint '{asked}'" in str(caught.value)
        assert str(caught.value.cure) == f"latest, or one of those present in {here}: checkpoint-5"


def test_what_may_lie_in_a_store_or_on_another_machine_is_asked_for_later(project: Any) -> None:
    store = {"provider": "s3", "bucket": "mine", "access_key": "a", "secret_key": "b"}
    project.set(resume_from_checkpoint="runs/checkpoint-5", publishing_config=store)
    assert project.load().destinations
    project.set(publishing_config=None, resume_from_checkpoint="checkpoint-5")
    project.set(num_machines=2, num_processes=2, machine_rank=1, main_process_ip="10.0.0.1")
    assert project.load().config.machine.machine_rank == 1


@pytest.mark.parametrize(
    ("action", "then"), [("stop", "the run ends there"), ("wait", "the run waits there"), ("script", "_script is run")]
)
def test_a_disk_that_is_too_full_already_is_told(project: Any, action: str, then: str) -> None:
    project.set(disk_low_threshold="90000T", disk_low_action=action, disk_low_script="./make-room.sh")
    (told,) = [notice for notice in project.load().notices if "disk_low_threshold 90000T" in notice]
    assert f"are free for {project.root}/output/models-omnigen: at the first save " in told
    assert told.endswith(then)
    project.set(disk_low_threshold="1K")
    assert not any("are free for" in notice for notice in project.load().notices)


def test_options_that_are_real(project: Any) -> None:
    project.set(
        checkpointing_rolling_steps="100",
        checkpoints_rolling_total_limit=2,
        checkpoints_total_limit=3,
        disk_low_threshold="20K",
        disk_low_action="script",
        disk_low_script="./make-room.sh now",
        post_checkpoint_script="cp -r {local_checkpoint_path} /backup",
        delete_invalid_checkpoints="true",
        i_know_what_i_am_doing="true",
    )
    run = project.load()
    assert run.config.checkpoints.checkpointing_rolling_steps == 100
    assert run.config.checkpoints.delete_invalid_checkpoints
    assert not [notice for notice in run.notices if "checkpoint" in notice or "disk" in notice]
