from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simpletuner.config.reading.launch import launch_values, top_level
from simpletuner.core.errors import ConfigError

YAML = """\
compute_environment: LOCAL_MACHINE
distributed_type: {kind}
fsdp_config:
  fsdp_version: 2
  num_machines: 9
machine_rank: 1  # the second
main_process_ip: '10.0.0.1'
main_process_port: null
mixed_precision: fp16
num_machines: 2
num_processes: 8
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """What `accelerate config` leaves in HF_HOME."""
    path = tmp_path / "hub" / "accelerate" / "default_config.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(YAML.format(kind="MULTI_GPU"))
    return path


def environ(file: Path) -> dict[str, str]:
    return {"HF_HOME": str(file.parents[1])}


def test_only_lines_of_the_file_itself_count(file: Path) -> None:
    said = top_level(file.read_text())
    assert said["num_machines"] == "2"
    assert said["machine_rank"] == "1"
    assert said["main_process_ip"] == "10.0.0.1"
    assert "main_process_port" not in said
    assert "fsdp_config" not in said


def test_the_environment_wins_over_the_file_and_the_configuration_over_both(file: Path) -> None:
    variables = environ(file) | {"TRAINING_NUM_PROCESSES": "4", "NUM_MACHINES": "7"}
    found = launch_values({"num_machines": 1, "mixed_precision": "bf16"}, variables)
    assert found.values == {"num_processes": "4", "machine_rank": "1", "main_process_ip": "10.0.0.1"}
    assert found.origins["num_processes"] == "environment variable TRAINING_NUM_PROCESSES"
    assert found.origins["machine_rank"] == str(file)
    assert found.notices == [
        f"{file}: machine_rank 1, main_process_ip 10.0.0.1",
        f"{file}: mixed_precision fp16 is not read; the run's own bf16 is in force",
    ]


def test_without_any_of_them_nothing_is_said(tmp_path: Path) -> None:
    found = launch_values({}, {"HF_HOME": str(tmp_path)})
    assert (found.values, found.notices) == ({}, [])


def test_a_named_file_is_taken_and_must_be_there(file: Path, tmp_path: Path) -> None:
    assert launch_values({"accelerate_config": str(file)}, {"HF_HOME": str(tmp_path)}).values["num_processes"] == "8"
    with pytest.raises(ConfigError, match="there is no file"):
        launch_values({}, {"ACCELERATE_CONFIG_PATH": str(tmp_path / "none.yaml")})


@pytest.mark.parametrize("kind", ["FSDP", "DEEPSPEED", "MEGATRON_LM"])
def test_a_plugin_that_would_not_be_in_force_is_refused(file: Path, kind: str) -> None:
    file.write_text(YAML.format(kind=kind))
    with pytest.raises(ConfigError, match=f"accelerate for {kind}") as caught:
        launch_values({}, environ(file))
    assert ("deepspeed_config" if kind == "DEEPSPEED" else '"fsdp_enable": true') in str(caught.value)


def test_a_run_takes_them_and_says_so(file: Path, project: Any) -> None:
    loaded = project.load(environ=environ(file))
    assert (loaded.config.machine.num_processes, loaded.config.machine.num_machines) == (8, 2)
    assert any("num_processes 8" in notice for notice in loaded.notices)
    with pytest.raises(ConfigError, match=r"default_config.yaml: machine_rank: there is no machine 1 of 1"):
        project.load(environ=environ(file), num_machines="1")
