"""Nothing that a run opens can run code: no pickle is read, whatever a file is called and wherever it lies."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from simpletuner.core.checkpoints import MANIFEST, sealed
from simpletuner.core.files import files_below, sha256
from simpletuner.models.catalogue import family_facts
from tests.runs.conftest import Train
from tests.runs.data_words import entries

_WATCHED = """
import os, sys
seen = []
def watch(event, arguments):
    if event == "pickle.find_class":
        seen.append(arguments)
sys.addaudithook(watch)
from simpletuner.cli.main import run
import simpletuner.cli.train
imported = len(seen)
codes = [run(["train", f"max_train_steps={steps}", "checkpoint_step_interval=1"]) for steps in (2, 3)]
assert codes == [0, 0], codes
assert seen[imported:] == [], seen[imported:]
import pickle
pickle.loads(pickle.dumps(os.getcwd))
assert len(seen) == imported + 1, "the watcher sees it when there is one"
"""


def test_a_run_and_its_resume_unpickle_nothing(train: Train) -> None:
    del train
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run(
        [sys.executable, "-c", _WATCHED], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.marker),)


@pytest.fixture
def hostile(tmp_path: Path) -> bytes:
    content = pickle.dumps(Payload(tmp_path / "ran"))
    marker = tmp_path / "ran"
    pickle.loads(content)  # noqa: S301  # to know that it would
    assert marker.is_dir(), "it is a hostile file"
    marker.rmdir()
    return content


def sign(checkpoint: Path) -> None:
    """Make the manifest fit, as somebody would who hands out such a checkpoint."""
    manifest = json.loads((checkpoint / MANIFEST).read_text())
    names = [path.relative_to(checkpoint).as_posix() for path in files_below(checkpoint) if path.name != MANIFEST]
    manifest["files"] = {name: sha256(checkpoint / name) for name in names}
    (checkpoint / MANIFEST).write_text(json.dumps(sealed(manifest)))


@pytest.mark.parametrize(
    "name",
    [
        "pytorch_lora_weights.safetensors",
        "optimizer.safetensors",
        "ema_shadow.safetensors",
        "training_state.json",
        "manifest.json",
    ],
)
@pytest.mark.parametrize("signed", [False, True])
def test_a_checkpoint_with_a_hostile_file_is_refused(
    train: Train, tmp_path: Path, hostile: bytes, name: str, signed: bool
) -> None:
    output = tmp_path / "output"
    assert train(max_train_steps=1, checkpoint_step_interval=1) == 0
    (output / "checkpoint-1" / name).write_bytes(hostile)
    if signed and name != MANIFEST:
        sign(output / "checkpoint-1")
    assert train(max_train_steps=2) == 3
    assert not (tmp_path / "ran").exists()
    assert not (output / "checkpoint-2").exists()


def test_files_that_other_trainers_would_unpickle_are_not_opened(train: Train, tmp_path: Path, hostile: bytes) -> None:
    assert train(max_train_steps=1, checkpoint_step_interval=1) == 0
    checkpoint = tmp_path / "output" / "checkpoint-1"
    for name in (
        "random_states_0.pkl",
        "optimizer.bin",
        "scheduler.bin",
        "pytorch_model.bin",
        "custom_checkpoint_0.pkl",
    ):
        (checkpoint / name).write_bytes(hostile)
        (tmp_path / "output" / name).write_bytes(hostile)
    sign(checkpoint)
    assert train(max_train_steps=2) == 0
    assert not (tmp_path / "ran").exists()


def test_a_hostile_cache_is_made_again(train: Train, tmp_path: Path, hostile: bytes) -> None:
    assert train(max_train_steps=1) == 0
    made = {path: path.read_bytes() for path in [*entries(), *(tmp_path / "output" / "cache").rglob("*.safetensors")]}
    for path in made:
        path.write_bytes(hostile)
    shutil.rmtree(tmp_path / "output" / "checkpoint-1", ignore_errors=True)
    assert train("--fresh", max_train_steps=5, output_dir="again", cache_dir_text="output/cache/text/omnigen") == 0
    assert not (tmp_path / "ran").exists()
    assert all(path.read_bytes() in (content, hostile) for path, content in made.items())
    assert all(path.read_bytes() == made[path] for path in entries())


@pytest.mark.parametrize("ending", ["pt", "bin", "ckpt", "pkl", "safetensors"])
@pytest.mark.parametrize("key", ["init_lora", "init_lora_ema"])
def test_a_hostile_adapter_is_refused(train: Train, tmp_path: Path, hostile: bytes, ending: str, key: str) -> None:
    file = tmp_path / f"adapter.{ending}"
    file.write_bytes(hostile)
    assert train(**{"init_lora": file, key: file}, max_train_steps=1) in (2, 3)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("part", ["transformer", "vae"])
@pytest.mark.parametrize("ending", ["bin", "safetensors"])
def test_a_model_with_hostile_weights_is_refused(
    train: Train, tmp_path: Path, hostile: bytes, part: str, ending: str
) -> None:
    model = shutil.copytree(family_facts("omnigen").flavours["tiny"].source, tmp_path / "model")
    (model / part / "diffusion_pytorch_model.safetensors").unlink()
    (model / part / f"diffusion_pytorch_model.{ending}").write_bytes(hostile)
    assert train(pretrained_model_name_or_path=model, max_train_steps=1) in (2, 3)
    assert not (tmp_path / "ran").exists()
