from __future__ import annotations

import sys
from pathlib import Path

import pytest

from simpletuner.core.errors import ConfigError
from simpletuner.observe.trackers.installed import KINDS, require_trackers, usable


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages that comes before those of this environment."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    for kind in KINDS.values():
        monkeypatch.delitem(sys.modules, kind.module, raising=False)
    return folder


def test_a_package_that_is_missing_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Where nothing is installed, and a folder of the tracker's own files lies about.
    (tmp_path / "swanlab").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "comet_ml", raising=False)
    with pytest.raises(ConfigError, match="'comet_ml' is not installed") as caught:
        require_trackers(["tensorboard", "comet_ml"], {"COMET_API_KEY": "k"}, tmp_path)
    assert caught.value.key == "report_to"
    assert "'.[comet]'" in str(caught.value.cure)
    assert usable(["all"], {"SWANLAB_API_KEY": "k", "COMET_API_KEY": "k"}, tmp_path) == ()


def test_an_installed_one_needs_a_login(packages: Path, clean: dict[str, str]) -> None:
    (packages / "wandb.py").write_text("raise RuntimeError('nobody imports it here')")
    with pytest.raises(ConfigError, match="'wandb' is not logged in") as caught:
        require_trackers(["wandb"], clean, packages)
    assert "WANDB_MODE=offline" in str(caught.value.cure)
    assert usable(["all"], clean, packages) == ()
    require_trackers(["wandb"], clean | {"WANDB_API_KEY": "k"}, packages)
    assert "wandb" in usable(["all"], clean | {"WANDB_API_KEY": "k"}, packages)
    assert usable(["tensorboard", "simpletuner"], clean, packages) == ()
