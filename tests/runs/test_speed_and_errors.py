from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[1] / "fixtures" / "document"


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str
    seconds: float


def simpletuner(*words: str, cwd: Path) -> Ended:
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "simpletuner", *words], cwd=cwd, capture_output=True, text=True, check=False, timeout=60
    )
    return Ended(done.returncode, done.stdout, done.stderr, time.perf_counter() - start)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config" / "omnigen").mkdir(parents=True)
    for name in ("pseudo-camera-10k", "dreambooth-subject"):
        (tmp_path / "datasets" / name).mkdir(parents=True)
    shutil.copy(DOCUMENT / "config.json", tmp_path / "config")
    shutil.copy(DOCUMENT / "lycoris_config.json", tmp_path / "config")
    shutil.copy(DOCUMENT / "multidatabackend.json", tmp_path / "config" / "omnigen")
    return tmp_path


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("train", "--help")])
def test_help_answers_in_under_a_second(tmp_path: Path, words: tuple[str, ...]) -> None:
    tries = [simpletuner(*words, cwd=tmp_path) for _ in range(3)]
    assert {ended.code for ended in tries} == {0}
    assert min(ended.seconds for ended in tries) < 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("learnin_rate=1",), "command line: learnin_rate: unknown option\n  cure: did you mean 'learning_rate'?"),
        (("--config", "absent.json"), "absent.json: config: there is no such file"),
        (("learning_rate=fast",), "command line: learning_rate: 'fast' is not a number"),
        (("lycoris_config=absent.json",), "lycoris_config: there is no file 'absent.json'"),
        (("data_backend_config=absent.json",), "data_backend_config: there is no file 'absent.json'"),
        (("user_prompt_library=absent.json",), "user_prompt_library: there is no file 'absent.json'"),
        (("--lora_type", "lora"), "lora_type: unknown value 'lora'; allowed: lycoris, standard"),
        (
            ("lora_type=standard", "model_flavour=tiny", "peft_lora_target_modules=to_out"),
            "peft_lora_target_modules: no linear layer of this model is meant by 'to_out'",
        ),
        (("env=absent",), "there is no configuration named 'absent'"),
        (("--example", "absent"), "there is no bundled example 'absent'"),
        (("--seed",), "command line: seed: needs a value"),
        (("model_flavour=v2",), "model_flavour: 'omnigen' has no flavour 'v2'"),
        (("pretrained_model_name_or_path=./absent",), "pretrained_model_name_or_path: there is no folder './absent'"),
    ],
)
def test_a_users_mistake_ends_at_once_with_one_message(folder: Path, words: tuple[str, ...], told: str) -> None:
    ended = simpletuner("train", *words, cwd=folder)
    assert ended.code == 2
    assert ended.err.startswith("error: ")
    assert told in ended.err
    assert "Traceback" not in ended.err
    assert ended.out == ""
    assert ended.seconds < 2


def test_a_comma_too_many_names_line_and_column(folder: Path) -> None:
    file = folder / "config" / "config.json"
    kept = file.read_text().rstrip().removesuffix("}").rstrip()
    file.write_text(kept + ",\n}\n")
    line, column = kept.count("\n") + 1, len(kept.splitlines()[-1]) + 1
    ended = simpletuner("train", cwd=folder)
    assert ended.code == 2
    assert f"a comma before the closing '}}' (line {line}, column {column})" in ended.err
    assert ended.err.count("\n") == 2


def test_a_missing_folder_of_pictures_is_named(folder: Path) -> None:
    shutil.rmtree(folder / "datasets")
    ended = simpletuner("env=default", cwd=folder)
    assert ended.code == 2
    for dataset in json.loads((DOCUMENT / "multidatabackend.json").read_text())[:3]:
        assert f"{dataset['id']}: {folder / dataset['instance_data_dir']}" in ended.err
