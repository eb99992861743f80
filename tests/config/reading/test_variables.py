from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from simpletuner.config.reading.find import Selection
from simpletuner.config.reading.not_here import ABSENT_VARIABLES
from simpletuner.config.reading.variables import LEVEL, OURS, log_level, misspelt
from simpletuner.core.errors import ConfigError

SOURCE = Path(__file__).parents[3] / "src" / "simpletuner"


def told(project: Any, **environ: str) -> list[str]:
    """The notices that variables of the environment cause."""
    usual = project.load().notices
    return [notice for notice in project.load(environ=environ).notices if notice not in usual]


def test_the_list_holds_every_variable_that_the_program_reads() -> None:
    texts = (path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py"))
    named = {name for text in texts for name in re.findall(r'"(SIMPLETUNER_[A-Z_]*[A-Z])"', text)}
    assert named - set(ABSENT_VARIABLES) == OURS


@pytest.mark.parametrize("name", ABSENT_VARIABLES)
def test_a_variable_of_another_program_is_told(project: Any, name: str) -> None:
    (notice,) = told(project, **{name: "1"})
    assert notice.startswith(f"the environment variable {name} changes nothing: ")
    assert notice.endswith("(docs/not-here.md)")
    assert told(project, **{name: ""}) == []


def test_a_variable_that_nobody_knows_is_told_with_the_nearest(project: Any) -> None:
    assert told(project, SIMPLETUNER_LOGLEVEL="DEBUG", SIMPLETUNER_Q="1", HOME="/root") == [
        "nothing reads the environment variable SIMPLETUNER_LOGLEVEL; did you mean 'SIMPLETUNER_LOG_LEVEL'?",
        "nothing reads the environment variable SIMPLETUNER_Q",
    ]
    assert told(project, SIMPLETUNER_JOB_ID="7", SIMPLETUNER_GLOBAL_STEP="3", SIMPLETUNER_VALIDATION_PROMPT="x") == []


def test_a_level_is_one_of_pythons(project: Any) -> None:
    assert (log_level({}), log_level({LEVEL: " debug "})) == ("", "DEBUG")
    with pytest.raises(ConfigError, match=r"SIMPLETUNER_LOG_LEVEL: unknown level 'LOUD'\n  cure: use DEBUG, INFO"):
        project.load(environ={LEVEL: "LOUD"})


def test_names_that_are_nearly_options_of_an_env_file() -> None:
    plain = "HF_HOME BASE_DIR OUTPUT INSTANCE_DIR OMP_NUM_THREADS CUDA_VISIBLE_DEVICES WANDB_MODE ENV CONFIG_BACKEND"
    usual = ["LEARNING_RATE", "MAX_NUM_STEPS", "VALIDATION_STEPS", "IGNORE_FINAL_EPOCHS", "TRAINER_EXTRA_ARGS"]
    assert list(misspelt(dict.fromkeys([*usual, *plain.split()], "1"))) == []
    assert list(misspelt({"LEARNIGN_RATE": "3", "Learning_Rate": "3"})) == [
        "LEARNIGN_RATE is no option, and only a variable of the environment; did you mean 'LEARNING_RATE'?",
        "Learning_Rate is no option, and only a variable of the environment; did you mean 'LEARNING_RATE'?",
    ]


def test_a_misspelt_name_in_the_configuration_is_told(project: Any) -> None:
    file = project.root / "config" / "fox" / "config.env"
    file.parent.mkdir()
    file.write_text(
        "MODEL_TYPE=lora\nLORA_TYPE=lycoris\nMODEL_FAMILY=omnigen\nOUTPUT_DIR=o\nMAX_NUM_STEPS=3\nNUM_EPOCHS=0\n"
        "OPTIMIZER=adamw_bf16\nDATALOADER_CONFIG=config/omnigen/multidatabackend.json\nLEARNIGN_RATE=3\n"
        "VALIDATION_STEPS=7\n"
    )
    loaded = project.load(Selection(environment="fox"))
    assert loaded.config.validation.validation_step_interval == 7
    assert "validation_steps is now called validation_step_interval" in loaded.notices
    assert any(notice.startswith(f"{file}: LEARNIGN_RATE is no option") for notice in loaded.notices)


def test_options_of_an_env_file_beside_the_configuration_are_told_as_not_read(project: Any) -> None:
    file = project.config.with_name("config.env")
    file.write_text("HF_HOME=/tmp/hub\nTRAINING_NUM_PROCESSES=1\n")
    usual = project.load().notices
    file.write_text("HF_HOME=/tmp/hub\nTRAINING_NUM_PROCESSES=1\nLEARNING_RATE=3\n")
    (notice,) = [notice for notice in project.load().notices if notice not in usual]
    assert notice == f"{file}: not read as options, because the configuration is {project.config}: LEARNING_RATE"


def test_an_env_file_of_a_configuration_that_no_environment_names_is_told_as_not_read(project: Any) -> None:
    fox = project.root / "config" / "fox"
    fox.mkdir()
    own = fox / "config.json"
    own.write_text(project.config.read_text())
    file = fox / "config.env"
    file.write_text("TRAINING_NUM_PROCESSES=2\nHF_HOME=/tmp/hub\n")
    named = project.load(Selection(environment="fox"))
    assert (named.config.machine.num_processes, named.environ["HF_HOME"]) == (2, "/tmp/hub")
    assert not any("is not read" in notice for notice in named.notices)
    for given in (own, fox):
        loaded = project.load(Selection(config_file=given))
        assert (loaded.config.machine.num_processes, loaded.environ) == (1, {})
        (told,) = [notice for notice in loaded.notices if "is not read" in notice]
        assert told.startswith(f"{file} is not read: variables are read from config/config.env and, with env=NAME")


def test_an_env_file_of_the_name_of_an_example_is_told_as_not_read(project: Any) -> None:
    file = project.root / "config" / "emoji-style" / "config.env"
    file.parent.mkdir()
    file.write_text("TRAINING_NUM_PROCESSES=2\n")
    loaded = project.load(Selection(example="emoji-style"))
    assert loaded.config.machine.num_processes == 1
    assert [notice for notice in loaded.notices if notice.startswith(f"{file} is not read")]
