"""A card that torch does not use, with a stand-in for NVIDIA's program on PATH."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from simpletuner.assemble import burden, unseen
from simpletuner.assemble.stage import set_stage
from simpletuner.assemble.unseen import (
    Build,
    Driver,
    ask_driver,
    installed_build,
    read_driver,
    require_seen,
    unseen_card,
)
from simpletuner.config.load import LoadedRun
from simpletuner.core.errors import ConfigError
from simpletuner.core.events import Event, Notice
from simpletuner.models.omnigen.layers import FACTS
from tests.assemble.conftest import dataset, loaded_run, write_scenes

HEAD = """\
Mon Nov 23 14:37:34 2026
+---------------------------------------------------------------------------------------+
| NVIDIA-SMI 535.104.05             Driver Version: 535.104.05   CUDA Version: {cuda}     |
|-----------------------------------------+----------------------+----------------------+
"""
PYPI = Build("2.13.0", "13.0", None)
CPU = Build("2.13.0+cpu", None, None)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without a card; its programs are those of the folder `bin`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(burden, "AMD", tmp_path / "kfd")
    monkeypatch.setattr(unseen, "AMD", tmp_path / "kfd")
    monkeypatch.setattr(unseen, "_SCREENS", tmp_path / "drm")
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    write_scenes(tmp_path / "cats", ["a.png"])
    return tmp_path


def stand_in(root: Path, told: str = HEAD.format(cuda="12.2"), code: int = 0) -> None:
    """An `nvidia-smi` that says ``told``."""
    (root / "told").write_text(told, encoding="utf-8")
    program = root / "bin" / "nvidia-smi"
    program.write_text(f"#!/bin/sh\nwhile IFS= read -r line; do echo \"$line\"; done < '{root}/told'\nexit {code}\n")
    program.chmod(0o755)


def loaded(root: Path, environ: dict[str, str] | None = None, **options: Any) -> LoadedRun:
    run = loaded_run(root, [dataset("cats")], **options)
    return run if environ is None else LoadedRun(**{**vars(run), "environ": environ})


def test_the_head_of_nvidias_table() -> None:
    assert read_driver(HEAD.format(cuda="12.2")) == Driver("535.104.05", "12.2")
    newer = "| NVIDIA-SMI 590.44.01   KMD Version: 590.44.01   Driver Version: 590.44.01   CUDA UMD Version: 13.1 |"
    assert read_driver(newer) == Driver("590.44.01", "13.1")
    failed = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\nMake sure it runs.\n"
    assert read_driver(failed) == Driver(words=failed.splitlines()[0])
    assert read_driver("").words == "nothing"


def test_a_driver_that_is_too_old_for_the_build(root: Path) -> None:
    assert unseen_card({}, PYPI) is None
    assert ask_driver() is None
    stand_in(root)
    found = unseen_card({}, PYPI)
    assert found is not None
    reason, cure = found
    assert reason == (
        "an NVIDIA card is here, and torch does not see it: its driver 535.104.05 knows CUDA up to 12.2, and "
        "torch 2.13.0 is built for CUDA 13.0"
    )
    assert cure == (
        f"{sys.executable} -m pip install --upgrade torch==2.13.0 --index-url https://download.pytorch.org/whl/cu126"
    )


@pytest.mark.parametrize(
    ("cuda", "build", "cure"),
    [
        ("13.0", CPU, "torch==2.13.0 --index-url https://download.pytorch.org/whl/cu130"),
        ("12.8", CPU, "torch==2.13.0 --index-url https://download.pytorch.org/whl/cu126"),
        ("12.2", Build("2.13.0+cu126", "12.6", None), "docker run --gpus all"),
        ("13.1", PYPI, "docker run --gpus all"),
        ("11.4", PYPI, "a newer driver"),
    ],
)
def test_what_helps(root: Path, cuda: str, build: Build, cure: str) -> None:
    stand_in(root, HEAD.format(cuda=cuda))
    found = unseen_card({}, build)
    assert found is not None
    assert cure in found[1]
    assert build.told() in found[0]


def test_a_driver_that_fails_says_so_itself(root: Path) -> None:
    stand_in(root, "No devices were found\n", code=6)
    found = unseen_card({}, PYPI)
    assert found is not None
    assert found[0] == "nvidia-smi is here, and tells of no card: No devices were found"
    (root / "bin" / "nvidia-smi").write_bytes(b"\x7fELF no program")
    found = unseen_card({}, PYPI)
    assert found is not None
    assert "Exec format error" in found[0]


@pytest.mark.parametrize("hidden", ["CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"])
def test_a_card_that_the_user_hides_is_none(root: Path, hidden: str) -> None:
    stand_in(root)
    assert unseen_card({hidden: ""}, PYPI) is None
    assert unseen_card({hidden: "-1"}, PYPI) is None
    assert unseen_card({hidden: "0"}, PYPI) is not None


def test_amds(root: Path) -> None:
    (root / "kfd").touch()
    memory = root / "drm" / "card0" / "device" / "mem_info_vram_total"
    memory.parent.mkdir(parents=True)
    memory.write_text(str(512 << 20), encoding="utf-8")
    assert unseen_card({}, PYPI) is None, "a processor's own graphics"
    memory.write_text(str(24 << 30), encoding="utf-8")
    other, own = unseen_card({}, PYPI), unseen_card({}, Build("2.13.0+rocm7.2", None, "7.2"))
    assert other is not None
    assert "an AMD card is here" in other[0]
    assert "rocm folder" in other[1]
    assert own is not None
    assert "built for ROCm 7.2" in own[0]
    assert "render" in own[1]


def test_a_large_model_is_refused_and_a_tiny_one_warned(root: Path) -> None:
    stand_in(root)
    with pytest.raises(ConfigError, match="torch does not see it") as caught:
        require_seen(loaded(root, model_flavour="v1"), FACTS)
    assert "set CUDA_VISIBLE_DEVICES to nothing" in str(caught.value)
    with pytest.raises(ConfigError, match="torch does not see it"):
        require_seen(loaded(root, pretrained_model_name_or_path="someone/else"), FACTS)
    assert require_seen(loaded(root, {"CUDA_VISIBLE_DEVICES": ""}, model_flavour="v1"), FACTS) is None
    told = require_seen(loaded(root), FACTS)
    assert told is not None
    assert "the CPU trains" in told
    assert installed_build().told() in told


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch has a card here")
def test_a_run_says_so_before_anything_is_loaded(root: Path) -> None:
    stand_in(root)
    heard: list[Event] = []
    set_stage(loaded(root), None, heard.append)
    told = [event for event in heard if isinstance(event, Notice) and event.level == "warning"]
    assert ["torch does not see it" in notice.text for notice in told] == [True]
    with pytest.raises(ConfigError, match=r"driver 535\.104\.05"):
        set_stage(loaded(root, model_flavour="v1"), None, heard.append)
