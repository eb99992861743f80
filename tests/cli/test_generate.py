from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from simpletuner.cli.generate import parse
from simpletuner.cli.main import run
from simpletuner.core.errors import ConfigError
from simpletuner.validation.save import save_picture
from tests.validation.test_recipe import FACTS, PANELS, SPEC, panel_facts

WORDS = ["--model", "tiny", "--output", "out"]


def test_words_become_what_is_asked() -> None:
    asked = parse([*WORDS, "--prompt", "a", "--prompt", "b", "--resolution", "64,96x64", "--seed", "7"])
    assert asked is not None
    assert (asked.prompts, asked.sizes, asked.seed) == (("a", "b"), ((64, 64), (96, 64)), 7)
    assert (asked.steps, asked.guidance, asked.image_guidance, asked.strength) == (30, 7.5, 1.6, 1.0)
    assert asked.negative is None


def test_a_picture_brings_its_model(tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    facts = FACTS | panel_facts(PANELS, ("", "abc"), SPEC)
    save_picture(Image.new("RGB", (16, 16)), picture, "png", 90, facts)
    asked = parse(["--like", str(picture), "--output", "out"])
    assert asked is not None
    assert asked.base.name == "tiny"
    save_picture(Image.new("RGB", (16, 16)), picture, "png", 90, facts | {"model_type": "full"})
    with pytest.raises(ConfigError, match="all of whose weights were trained"):
        parse(["--like", str(picture), "--output", "out"])
    assert parse(["--like", str(picture), *WORDS]) is not None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--prompt: is missing"),
        (["--prompt", "x", "--adapter", "nothing.safetensors"], "nothing.safetensors: --adapter: does not exist"),
        (["--prompt", "x", "--image", "nothing.png"], "nothing.png: --image: does not exist"),
        (["--prompt", "x", "--resolution", "wide"], "'wide' is no size"),
        (["--prompt", "x", "--steps", "0"], "Invalid value for '--steps'"),
        (["--like", "nothing.png"], "nothing.png: --like: does not exist"),
        (["--prompt", "x", "--guidance", "nan"], "'nan' is not a finite number"),
        (["--prompt", "x", "--strength", "inf"], "'inf' is not a finite number"),
        (["--prompt", "x", "--resolution", "4000x64"], "no edge can be longer than 3072"),
        (["--like", "x.png", "--seed", "5"], "--seed: is not read by --like"),
        (["--like", "x.png", "--prompt", "a fox"], "--prompt: is not read by --like"),
        (["--like", "x.png", "--probe", "tokens"], "--probe: is not read by --like"),
        (["--probe", "tokens", "--steps", "5"], "--steps: is not read by --probe tokens"),
        (["--probe", "tokens", "--prompt", "a", "--prompt", " "], "--prompt: has no words to ask about"),
        (["--probe", "buckets", "--count", "2"], "--count: is not read by --probe buckets"),
        (["--probe", "artifacts", "--prompt", "x"], "--prompt: is not read by --probe artifacts"),
    ],
)
def test_mistakes_are_told_before_anything_is_loaded(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["generate", *WORDS, *words]) == 2
    assert said in capsys.readouterr().err


def test_a_file_is_no_folder_for_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("x")
    for output in (tmp_path / "file", tmp_path / "file" / "below"):
        assert run(["generate", "--model", "tiny", "--prompt", "x", "--output", str(output)]) == 2
        assert f"{tmp_path / 'file'}: --output: is a file" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["generate", "export"])
def test_help_needs_no_torch(command: str) -> None:
    code = (
        "import sys; from simpletuner.cli.main import run; code = run([sys.argv[1], '--help']); "
        "sys.exit(code or 'torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code, command], capture_output=True, text=True, check=True)
    assert f"Usage: simpletuner {command}" in told.stdout
    assert "--adapter" in told.stdout
