"""`simpletuner check` as it is typed, on small real folders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simpletuner.cli.main import run
from tests.assemble.conftest import dataset, write_run, write_scenes

ASK_TORCH = (
    "import sys; from simpletuner.cli.main import run; code = run(sys.argv[1:]); "
    "sys.exit(99 if {'torch', 'diffusers', 'transformers', 'accelerate'} & set(sys.modules) else code)"
)

Check = Callable[..., int]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """`simpletuner check` in a folder with four good pictures, one truncated, and a held-out one."""
    monkeypatch.chdir(tmp_path)
    write_scenes(tmp_path / "cats", [f"cat_{number}.png" for number in range(5)])
    write_scenes(tmp_path / "held", ["x.png"], first=50)
    bad = tmp_path / "cats/cat_4.png"
    bad.write_bytes(bad.read_bytes()[:-200])
    write_run(tmp_path, [dataset("cats"), dataset("held", dataset_type="eval")])
    return lambda *words: run(["check", *words])


def report(folder: Path) -> Any:
    return json.loads((folder / "output/report.json").read_text(encoding="utf-8"))


def test_a_run_that_can_train(check: Check, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check() == 0
    told = " ".join(capsys.readouterr().out.split())
    for part in (
        "used 4 of 5 pictures",
        "cat_4.png",
        "this run can train",
        "output/report.json (the folder output is new)",
    ):
        assert part in told, part
    cats, held = report(tmp_path)["datasets"]
    assert (cats["files"], cats["used"], [item["file"] for item in cats["dropped"]]) == (5, 4, ["cat_4.png"])
    assert set(cats["dropped"][0]) == {"file", "reason", "cure"}
    assert held["type"] == "eval"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "cats", "config", "held", "output"]
    assert [path.name for path in (tmp_path / "output").iterdir()] == ["report.json"]
    assert check() == 0
    assert "is new" not in capsys.readouterr().out


def test_json_is_all_that_stands_on_stdout(check: Check, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("--json", "--deep") == 0
    content = json.loads(capsys.readouterr().out)
    assert content == report(tmp_path)
    assert content["deep"] is True


def test_options_of_the_command_line_count(check: Check, tmp_path: Path) -> None:
    assert check("train_batch_size=1", "output_dir=elsewhere") == 0
    content = json.loads((tmp_path / "elsewhere/report.json").read_text(encoding="utf-8"))
    assert content["epoch"]["updates"] == 4


def test_a_page_is_written_where_it_is_wanted(check: Check, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("--html", "pages/sheet.html") == 0
    assert "pages/sheet.html" in capsys.readouterr().out
    page = (tmp_path / "pages/sheet.html").read_text(encoding="utf-8")
    assert page.count("<figure>") == 5
    assert check("--html", "cats") == 3
    assert "html: cannot be written" in capsys.readouterr().err


def test_without_a_scan_no_picture_is_looked_at_and_nothing_is_written(
    check: Check, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (tmp_path / "cats").iterdir():
        path.write_bytes(b"no picture")
    assert check("--no-scan") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "no picture was looked at" in told
    assert "adapter lokr: " in told
    assert not (tmp_path / "output").exists()
    assert check("--no-scan", "--json") == 0
    content = json.loads(capsys.readouterr().out)
    assert (content["scanned"], content["datasets"]) == (False, [])
    assert content["adapter"]["parameters"] > 0
    for words in (["--no-scan", "--deep"], ["--no-scan", "--html", "page.html"]):
        assert check(*words) == 2
        assert "looks at pictures" in capsys.readouterr().err


def test_the_report_has_the_adapter_and_the_room_too(check: Check, tmp_path: Path) -> None:
    assert check() == 0
    content = report(tmp_path)
    assert content["scanned"] is True
    assert [need["what"] for need in content["disk"][1:]] == ["latents", "latents"]
    assert sum(one["parameters"] for one in content["adapter"]["classes"]) == content["adapter"]["parameters"]


def test_a_lokr_of_every_factor(check: Check, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("--no-scan", "--lokr", "model_flavour=v1") == 0
    told = capsys.readouterr().out
    assert "a larger factor is a smaller adapter" in " ".join(told.split())
    assert "14,204,928" in told
    assert check("--no-scan", "--lokr", "pretrained_model_name_or_path=someone/else") == 0
    assert "not counted" in capsys.readouterr().out


def test_who_must_be_logged_in(check: Check, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setenv("HF_HOME", "/nowhere")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    assert check("push_to_hub=true", "hub_model_id=me/cats") == 2
    assert "nobody is logged in to the hub" in capsys.readouterr().err


def test_a_data_set_that_cannot_be_used_is_exit_code_3(
    check: Check, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (tmp_path / "held").iterdir():
        path.unlink()
    assert check() == 3
    told = capsys.readouterr().out
    assert "no images detected in dataset" in told
    assert "this run cannot train" in told
    content = report(tmp_path)
    assert content["datasets"][0]["used"] == 4
    assert "held" in content["problems"][0]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["lerning_rate=1"], "learning_rate"),
        (["train_batch_size=0"], "train_batch_size"),
        (["lycoris_config=absent.json"], "lycoris_config"),
        (["--config", "absent.json"], "absent.json"),
        (["--html"], "html: needs a value"),
        (["model_flavour=v2"], "v2"),
    ],
)
def test_the_configuration_is_checked_first(
    check: Check, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    assert check(*words, "--json") == 2
    heard = capsys.readouterr()
    assert told in heard.err
    assert heard.out == ""
    assert not (tmp_path / "output").exists()


def test_an_output_folder_that_cannot_be_made(check: Check, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "output").write_text("a file")
    assert check() == 2
    assert "config.json: output_dir: is a file, not a folder" in capsys.readouterr().err
    (tmp_path / "output").unlink()
    (tmp_path / "output/report.json").mkdir(parents=True)
    assert check() == 3
    assert "output_dir: cannot be written" in capsys.readouterr().err


def test_help_has_every_switch(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["check", "--help"], ["check", "env=x", "-h"]):
        assert run(words) == 0
        told = capsys.readouterr().out
        for part in ("--deep", "--json", "--html FILE", "--no-scan", "--lokr", "report.json", "Exit codes"):
            assert part in told


def test_it_needs_no_torch_and_changes_no_picture(check: Check, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for folder in ("cats", "held") for path in (tmp_path / folder).iterdir()}
    assert check("--deep") == 0
    words = [sys.executable, "-c", ASK_TORCH, "check", "--deep", "--html", "sheet.html"]
    result = subprocess.run(words, cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert before == {path: path.read_bytes() for folder in ("cats", "held") for path in (tmp_path / folder).iterdir()}


def test_a_terminal_without_unicode_gets_question_marks(check: Check, tmp_path: Path) -> None:
    (tmp_path / "cats/cat_1.png").rename(tmp_path / "cats/赤い猫.png")
    (tmp_path / "cats/赤い猫.png").write_bytes(b"")
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    words = [sys.executable, "-m", "simpletuner", "check"]
    result = subprocess.run(words, cwd=tmp_path, env=ascii_only, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "???.png" in result.stdout
    assert check() == 0
