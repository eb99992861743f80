from __future__ import annotations

from pathlib import Path

import pytest

from simpletuner.observe.trackers.login import comet_problem, swanlab_problem, wandb_problem


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    (folder / ".swanlab").mkdir(parents=True)
    return folder


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)


@pytest.mark.parametrize("problem", [wandb_problem, comet_problem, swanlab_problem])
def test_without_a_login_three_ways_out_are_named(problem: object, home: Path, tmp_path: Path) -> None:
    told = problem({"HOME": str(home)}, tmp_path)  # type: ignore[operator]
    assert "login`" in told
    assert "_API_KEY" in told
    assert "offline" in told or "COMET_START_ONLINE=false" in told


@pytest.mark.parametrize(
    "environ",
    [{"WANDB_API_KEY": "k"}, {"WANDB_MODE": "offline"}, {"WANDB_MODE": "disabled"}, {"WANDB_IDENTITY_TOKEN_FILE": "f"}],
)
def test_variables_of_wandb(environ: dict[str, str], home: Path, tmp_path: Path) -> None:
    assert wandb_problem({"HOME": str(home), **environ}, tmp_path) == ""


def test_files_of_wandb(home: Path, tmp_path: Path) -> None:
    environ = {"HOME": str(home)}
    write(home / ".netrc", "machine example.org\n  login user\n  password p\n")
    assert wandb_problem(environ, tmp_path)
    assert wandb_problem({**environ, "WANDB_BASE_URL": "https://example.org:8080"}, tmp_path) == ""
    write(home / ".netrc", "machine api.wandb.ai\n  login user\n  password p\n")
    assert wandb_problem(environ, tmp_path) == ""
    write(home / ".netrc", "nonsense {")
    assert wandb_problem(environ, tmp_path)
    # What `wandb offline` writes.
    write(tmp_path / "wandb" / "settings", "[default]\nmode = offline\n")
    assert wandb_problem(environ, tmp_path) == ""


def test_comet(home: Path, tmp_path: Path) -> None:
    environ = {"HOME": str(home)}
    assert comet_problem({**environ, "COMET_API_KEY": "k"}, tmp_path) == ""
    assert comet_problem({**environ, "COMET_START_ONLINE": "False"}, tmp_path) == ""
    write(tmp_path / "there", "[comet]\napi_key = k\n")
    assert comet_problem({**environ, "COMET_CONFIG": str(tmp_path / "there")}, tmp_path) == ""
    write(home / ".comet.config", "no section")
    assert comet_problem(environ, tmp_path)
    write(home / ".comet.config", "[comet]\napi_key=k%\n")
    assert comet_problem(environ, tmp_path) == ""


def test_swanlab(home: Path, tmp_path: Path) -> None:
    environ = {"HOME": str(home)}
    assert swanlab_problem({**environ, "SWANLAB_API_KEY": "k"}, tmp_path) == ""
    assert swanlab_problem({**environ, "SWANLAB_MODE": "local"}, tmp_path) == ""
    write(home / ".swanlab" / ".netrc", "")
    assert swanlab_problem(environ, tmp_path) == ""
