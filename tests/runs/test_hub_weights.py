"""Weights of the hub: all of one commit, that of the checkpoint for a run that goes on, and told where it is asked."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants
from pytest_httpserver import HTTPServer
from safetensors import safe_open

from simpletuner.cli.main import run
from simpletuner.core.checkpoints import list_checkpoints
from simpletuner.models.omnigen.layers import TINY_FOLDER
from simpletuner.models.omnigen.preview import PUBLIC
from simpletuner.training.checkpoint import state_of
from tests.models.hub_cache import NEW, OLD, keep, move
from tests.models.weights_hub import REPOSITORY, WeightsHub, serving
from tests.runs.conftest import Train, lay_out
from tests.runs.resuming import small_model

HUB = {"pretrained_model_name_or_path": REPOSITORY}
WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"
DRAWN = {
    "validation_disable": "false",
    "validation_prompt": "a red apple",
    "validation_resolution": "64x64",
    "validation_num_inference_steps": 2,
    "validation_step_interval": 2,
    "validation_preview": "true",
    "evaluation_type": "clip",
}
OPTION = "pretrained_model_revision"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the hub's client keeps its files; a small model is in it, and main is there."""
    folder = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    keep(folder, REPOSITORY, OLD, small_model(tmp_path / "small"))
    return folder


def saved() -> dict[str, str]:
    """The commit by checkpoint."""
    return {one.path.name: state_of(one.path)["fingerprint"][OPTION] for one in list_checkpoints(Path("output"))}


def test_a_run_goes_on_with_the_weights_of_its_checkpoint(
    train: Train, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(**HUB, max_train_steps=2) == 0
    assert f"weights: {REPOSITORY} at commit {OLD}\n" in "".join(capsys.readouterr())
    with safe_open("output/pytorch_lora_weights.safetensors", "np") as opened:
        told = opened.metadata()
    assert (told["base_model"], told["base_model_revision"]) == (REPOSITORY, OLD)
    # Nothing is in the new one: a part that came from there could not be loaded.
    keep(cache, REPOSITORY, NEW, None)
    assert train(**HUB) == 0
    assert f"weights: {REPOSITORY} at commit {OLD}, that of the checkpoint\n" in "".join(capsys.readouterr())
    assert saved() == {"checkpoint-2": OLD, "checkpoint-4": OLD}
    assert run(["cache", *(f"{key}={value}" for key, value in HUB.items())]) == 0
    assert f"at commit {OLD}, that of the checkpoint\n" in "".join(capsys.readouterr())
    assert train(**HUB, max_train_steps=6, pretrained_model_revision="main") == 3
    said = "".join(capsys.readouterr())
    assert f'{OPTION} was "{OLD}", is "{NEW}"' in said
    assert train(**HUB, max_train_steps=6, pretrained_model_revision=OLD) == 0
    assert list(saved()) == ["checkpoint-2", "checkpoint-4", "checkpoint-6"]


def test_a_run_goes_on_with_what_its_pictures_were_looked_at_with(
    train: Train, cache: Path, httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """A CLIP and the public decoder of previews, both of the hub, where both have a newer state that cannot be used."""
    httpserver.expect_request("/hook").respond_with_data("")
    clip, beside = "some/clip", {"some/clip": TINY_FOLDER / "clip", PUBLIC: TINY_FOLDER / "tae"}
    for repository, content in beside.items():
        keep(cache, repository, OLD, content)
    hook = {"webhook_type": "raw", "webhook_url": f"http://127.0.0.1:{httpserver.port}/hook", "log_level": "info"}
    words = HUB | DRAWN | {"pretrained_evaluation_model_name_or_path": clip, "webhook_config": json.dumps(hook)}
    assert train(**words, max_train_steps=2) == 0
    said = "".join(capsys.readouterr())
    assert all(f"pictures are looked at with {name} at commit {OLD}\n" in said for name in beside)
    for repository in beside:
        keep(cache, repository, NEW, None)
    httpserver.clear_log()
    assert train(**words) == 0
    said = "".join(capsys.readouterr())
    same = [f"pictures are looked at with {name} at commit {OLD}, that of the checkpoint\n" for name in beside]
    assert all(line in said for line in same)
    assert "previews" not in said, "no warning that there are none"
    told = [request.get_json()["type"] for request, _ in httpserver.log]
    assert "validation.image" in told
    kept = {one.step: state_of(one.path)["commits"] for one in list_checkpoints(Path("output"))}
    assert kept == dict.fromkeys((2, 4), dict.fromkeys(beside, OLD))
    # Nobody looks, and what is known is not forgotten.
    assert train(**words | {"validation_disable": "true"}, max_train_steps=6) == 0
    assert "pictures are looked at" not in "".join(capsys.readouterr())
    assert train(**words, max_train_steps=8) == 0
    assert f"{clip} at commit {OLD}, that of the checkpoint" in "".join(capsys.readouterr())


def test_from_a_folder_to_the_hub_is_another_run_and_told_once(
    train: Train, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(pretrained_model_name_or_path=str(cache.parent / "small"), max_train_steps=2) == 0
    assert all(OPTION not in state_of(one.path)["fingerprint"] for one in list_checkpoints(Path("output")))
    assert train(**HUB) == 3
    said = "".join(capsys.readouterr())
    assert "weights was" in said
    assert OPTION not in said


def test_a_revision_that_was_not_fetched_ends_at_once(
    train: Train, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    move(cache, REPOSITORY, NEW, "v2")
    assert train(**HUB, pretrained_model_revision="v1") == 2
    assert f"cannot load revision 'v1' of '{REPOSITORY}': it was not fetched before" in "".join(capsys.readouterr())
    assert train(**HUB, pretrained_model_revision="v2") == 2
    assert f"cannot load 'tokenizer' from '{REPOSITORY}@{NEW}'" in "".join(capsys.readouterr())


def test_check_refuses_a_revision_of_a_folder(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(pretrained_model_revision="main") == 2
    said = "".join(capsys.readouterr())
    assert f"command line: {OPTION}: 'main' would be a revision on the hub" in said.replace("\n", " ")


@pytest.mark.long
def test_all_of_it_is_fetched_from_one_commit_though_main_moves(tmp_path: Path) -> None:
    """As a user runs it: fetched damaged, refused and removed; fetched whole from a hub, gone on with once main is
    elsewhere, and again without a hub.
    """
    small, broken = small_model(tmp_path / "small"), tmp_path / "broken"
    broken.mkdir()
    work = tmp_path / "work"
    work.mkdir()
    lay_out(work)

    def start(hub: WeightsHub, steps: int, code: int = 0) -> str:
        words = [f"pretrained_model_name_or_path={REPOSITORY}", f"max_train_steps={steps}"]
        done = subprocess.run(
            [sys.executable, "-m", "simpletuner", "train", *words],
            cwd=work,
            env={**os.environ, **hub.environ(tmp_path / "cache")},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    with serving(WeightsHub({OLD: small, NEW: broken}, OLD)) as hub:
        hub.spoiled = {WEIGHTS}
        (cure,) = re.findall("`(rm [^`]+)`", start(hub, 2, code=2).replace("\n", ""))
        hub.spoiled = set()
        subprocess.run(shlex.split(cure), check=True)
        assert f"at commit {OLD}" in start(hub, 2)
        fetched = [path.split("/")[4] for path in hub.asked if "/resolve/" in path]
        assert len(fetched) > 6
        assert set(fetched) == {OLD}
        hub.main = NEW
        assert f"at commit {OLD}, that of the checkpoint" in start(hub, 4)
    assert f"at commit {OLD}, that of the checkpoint" in start(hub, 6), "the hub is gone"
    (newest,) = [one for one in list_checkpoints(work / "output") if one.step == 6]
    assert json.loads((newest.path / "training_state.json").read_text())["fingerprint"][OPTION] == OLD
