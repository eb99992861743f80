"""`simpletuner generate --probe`: what a user's own weights answer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from simpletuner.cli.main import run
from tests.runs.conftest import EXAMPLE


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()
    for name in ("red_apple", "frog"):
        shutil.copy(EXAMPLE / "images" / f"{name}.png", tmp_path / "pictures")
    (tmp_path / "pictures" / "frog.txt").write_text("frog flat drawing\n")
    return tmp_path


def ask(probe: str, *words: str) -> int:
    size = [] if probe == "artifacts" else ["--resolution", "64x64"]
    return run(["generate", "--model", "tiny", "--probe", probe, "--output", "out", *size, *words])


def answer(folder: Path, probe: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "out" / f"probe_{probe}.json").read_text())
    assert found["probe"] == probe
    return found


def test_the_vae_is_asked_what_it_loses(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("artifacts", "--image", "pictures", "--image", "pictures/frog.png") == 0
    said = capsys.readouterr().out
    assert said.count(" red_apple.png  ") == 1
    assert said.count(" frog.png  ") == 2
    assert "kept on average: 2" in said
    found = answer(folder, "artifacts")["pictures"]
    assert isinstance(found, list)
    assert all(15 < one["psnr"] < 50 and len(one["worst"]) == 3 for one in found)
    for name in ("red_apple", "frog", "frog-2"):
        with Image.open(folder / "out" / f"artifacts_{name}.png") as image:
            assert image.width > image.height


def test_shapes_that_were_never_trained_are_found(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The tiny model has seen squares only."""
    assert ask("buckets", "--image", "pictures") == 0
    assert "surely harder than the square: 80x48, 48x80" in capsys.readouterr().out
    shapes = answer(folder, "buckets")["shapes"]
    assert isinstance(shapes, list)
    assert shapes[0]["size"] == {"width": 64, "height": 64}
    assert shapes[0]["explained"] > 0.3 > shapes[1]["explained"]


def test_without_pictures_a_model_is_shown_its_own(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("buckets", "--prompt", "red apple", "--steps", "4") == 0
    assert "loss on its own drawings" in capsys.readouterr().out
    assert answer(folder, "buckets")["pictures"] == []


def test_a_prompt_is_asked_which_of_its_words_count(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("tokens", "--prompt", "red apple, green frog, yellow sun") == 0
    said = capsys.readouterr().out
    assert "replacing" in said
    assert "all from there on" in said
    found = answer(folder, "tokens")
    assert found["prompts"] == 3
    assert found["places"][0] == 0  # type: ignore[index]
    with Image.open(folder / "out" / "probe_tokens.png") as image:
        assert image.size == (960, 560)


@pytest.mark.long
def test_the_built_in_prompts_reach_beyond_what_people_advise(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("tokens") == 0
    assert "other words beyond token 122 change" in capsys.readouterr().out
    found = answer(folder, "tokens")
    assert found["rest"][0] > found["rest"][-1] > 0  # type: ignore[index]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["artifacts"], "--image: is missing"),
        (["artifacts", "--image", "nothing"], "nothing: --image: does not exist"),
        (["buckets", "--image", "empty"], "empty: --image: holds no picture"),
        (["tokens", "--image", "pictures"], "--image: is not read by --probe tokens"),
        (["colours"], "Invalid value for '--probe'"),
    ],
)
def test_mistakes_are_told(words: list[str], said: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "empty").mkdir()
    assert ask(*words) == 2
    assert said in capsys.readouterr().err


def test_a_file_that_is_no_picture_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "pictures" / "frog.png").write_bytes(b"no picture")
    for probe in ("artifacts", "buckets"):
        assert ask(probe, "--image", "pictures/frog.png") == 3
        assert "pictures/frog.png" in capsys.readouterr().err
