"""`simpletuner configure --yes` as it is typed; its questions are answered in tests/runs/test_configure.py."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simpletuner.assemble.configure.answers import NAMES
from simpletuner.assemble.configure.target import find_target
from simpletuner.assemble.configure.trial import Trial
from simpletuner.assemble.configure.wizard import converse
from simpletuner.cli import shortcut
from simpletuner.cli.configure import Wanted, _begun, parse_line
from simpletuner.cli.main import run
from simpletuner.core.errors import ConfigError
from tests.assemble.configure.conftest import Script
from tests.assemble.conftest import write_scenes

Configure = Callable[..., int]
ASK_TORCH = (
    "import sys; from simpletuner.cli.main import run; code = run(sys.argv[1:]); "
    "sys.exit(99 if {'torch', 'diffusers', 'transformers', 'accelerate'} & set(sys.modules) else code)"
)
SMALL = ("resolution=64", "model_flavour=tiny")


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """`simpletuner configure` in a folder with five pictures in `cats`, on a machine without a card."""
    write_scenes(tmp_path / "cats", [f"a_cat_{number}.png" for number in range(5)])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    return lambda *words: run(["configure", *words])


def config(folder: Path, name: str = "config.json") -> Any:
    return json.loads((folder / "config" / name).read_text(encoding="utf-8"))


def test_the_files_can_train(configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert configure("--yes", "pictures=cats", "card=8", "teach=subject", "words=blip", *SMALL) == 0
    said = capsys.readouterr().out
    assert "5 of 5 are used (cats)" in said
    assert said.endswith("next:  simpletuner check\nthen:  simpletuner train\n")
    options = config(tmp_path)
    assert (options["base_model_precision"], options["quantize_via"]) == ("int8-quanto", "cpu")
    assert (options["model_flavour"], options["validation_prompt"]) == ("tiny", "a photo of blip")
    assert config(tmp_path, "multidatabackend.json")[0]["instance_prompt"] == "blip"
    assert run(["check"]) == 0


def test_another_name_ends_with_its_command(configure: Configure, capsys: pytest.CaptureFixture[str]) -> None:
    assert configure("config/cats", "--yes", "pictures=cats", *SMALL) == 0
    assert "simpletuner train env=cats" in capsys.readouterr().out
    assert run(["check", "env=cats"]) == 0


def test_a_second_time_changes_only_what_is_said(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure("--yes", "pictures=cats", "use_ema=true", *SMALL)
    before = config(tmp_path)
    assert configure("--yes") == 0
    assert "says all of this already" in capsys.readouterr().out
    assert configure("--yes", "steps=77") == 0
    changed = {key for key, value in config(tmp_path).items() if before.get(key) != value}
    assert changed == {"max_train_steps", "lr_warmup_steps", "checkpoint_step_interval"}
    assert json.loads((tmp_path / "config/config.json.bak").read_text()) == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "add pictures=FOLDER"),
        (("pictures=dogs",), "there is no folder 'dogs'"),
        (("pictures=cats", "cards=8"), "did you mean 'card'?"),
        (("pictures=cats", "card=7"), "one of: 6, 8"),
        (("pictures=cats", "draw=100x100"), "96 or 112"),
        (("pictures=cats", "optimizer=adamm"), "optimizer: unknown value 'adamm'"),
        (("pictures=cats", "output=cats/out"), "inside the pictures"),
        (("pictures=cats", "--quick"), "'--quick' is no word of configure"),
        (("one", "two"), "two configurations"),
        (("config.toml", "pictures=cats"), "configure writes JSON"),
    ],
)
def test_what_is_refused(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str
) -> None:
    assert configure("--yes", *words) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "config").exists()


def test_pictures_that_cannot_be_used(configure: Configure, tmp_path: Path) -> None:
    assert configure("--yes", "pictures=cats", "captions=textfile") == 3
    assert not (tmp_path / "config").exists()


def test_unknown_options_of_a_file_are_named(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure("--yes", "pictures=cats", *SMALL)
    file = tmp_path / "config/config.json"
    file.write_text(json.dumps(config(tmp_path) | {"learning_rat": 1}))
    assert configure("--yes") == 0
    assert "left out, because unknown here: learning_rat" in capsys.readouterr().err
    assert "learning_rat" not in config(tmp_path)


def test_pictures_that_have_moved(configure: Configure, tmp_path: Path) -> None:
    configure("--yes", "pictures=cats", *SMALL)
    (tmp_path / "cats").rename(tmp_path / "kittens")
    assert configure("--yes") == 2
    assert configure("--yes", "pictures=kittens") == 0
    assert config(tmp_path, "multidatabackend.json")[0]["instance_data_dir"] == "kittens"


def test_questions_about_a_configuration_begin_with_what_it_says(configure: Configure, tmp_path: Path) -> None:
    configure("--yes", "pictures=cats", "steps=77", "use_ema=true", *SMALL)
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder), find_target(None, tmp_path), tmp_path, {}, lambda _loaded: None)
        assert converse(_begun(trial, Wanted()), Script({})) == ()
        door = Script({"Which rate?": ["5e-5"], "What do you teach?": ["style"]})
        made = converse(_begun(trial, Wanted(given={"batch": 3})), door)
    assert made is not None
    lines = [line for line in made[0].diff().splitlines()[2:] if line[0] in "+-"]
    assert lines == [
        '-  "train_batch_size": 5,',
        '+  "train_batch_size": 3,',
        '-  "learning_rate": 0.0001,',
        '+  "learning_rate": 5e-05,',
    ]
    assert '+  "learning_rate": 5e-05' in door.shown


def test_without_a_terminal_it_says_what_to_write(configure: Configure, capsys: pytest.CaptureFixture[str]) -> None:
    assert configure("pictures=cats") == 2
    assert "simpletuner configure --yes pictures=FOLDER" in capsys.readouterr().err


def test_torch_is_not_imported(configure: Configure, tmp_path: Path) -> None:
    command = [sys.executable, "-c", ASK_TORCH, "configure", "--yes", "pictures=cats", *SMALL]
    assert subprocess.run(command, cwd=tmp_path, check=False, stdout=subprocess.DEVNULL).returncode == 0


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    here, there = pty.openpty()
    command = [sys.executable, "-m", "simpletuner", "configure"]
    process = subprocess.Popen(command, cwd=tmp_path, stdin=there, stdout=there, stderr=subprocess.PIPE)
    os.close(there)
    seen = b""
    while b"Which card" not in seen:
        seen += os.read(here, 4096)
    os.write(here, b"\x03")
    assert process.stderr is not None
    said = process.stderr.read().decode()
    assert (process.wait(20), said) == (130, "left; nothing was written\n")
    os.close(here)
    process.stderr.close()
    assert list(tmp_path.iterdir()) == []


def test_the_words_may_stand_in_any_order() -> None:
    found = parse_line(["card=8", "--yes", "config/cats", "pictures=a=b"])
    assert (str(found.path), found.asks, dict(found.given)) == ("config/cats", False, {"card": "8", "pictures": "a=b"})
    assert parse_line([]).asks
    with pytest.raises(ConfigError):
        parse_line(["--config=x"])


def test_it_has_a_name_of_its_own(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["simpletuner-configure", "--yes"])
    with pytest.raises(SystemExit) as left:
        shortcut.configure()
    assert left.value.code == 2
    assert "pictures is missing" in capsys.readouterr().err


def test_help_names_every_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["configure", "--help"]) == 0
    said = capsys.readouterr().out
    for name in NAMES:
        assert name in said
