"""Mistakes that end before torch: weights and layers that the files at hand show not to exist."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from simpletuner.cli.select import select_run
from simpletuner.config.load import LoadedRun
from simpletuner.core.errors import ConfigError

DOCUMENT = Path(__file__).parents[1] / "fixtures" / "document"
TRANSFORMER = {
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "num_layers": 2,
    "intermediate_size": 128,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The document's files, and a model's folder `weights` in diffusers layout."""
    (tmp_path / "config" / "omnigen").mkdir(parents=True)
    for name in ("pseudo-camera-10k", "dreambooth-subject"):
        (tmp_path / "datasets" / name).mkdir(parents=True)
    for name in ("config.json", "lycoris_config.json"):
        shutil.copy(DOCUMENT / name, tmp_path / "config")
    shutil.copy(DOCUMENT / "multidatabackend.json", tmp_path / "config" / "omnigen")
    for part in ("transformer", "vae", "tokenizer"):
        (tmp_path / "weights" / part).mkdir(parents=True)
    (tmp_path / "weights" / "transformer" / "config.json").write_text(json.dumps(TRANSFORMER))
    (tmp_path / "weights" / "vae" / "config.json").write_text("{}")
    return tmp_path


def select(folder: Path, *words: str) -> LoadedRun:
    return select_run(words, folder, {})[0]


def preset(folder: Path, **changes: Any) -> None:
    """Give the LyCORIS file another preset."""
    file = folder / "config" / "lycoris_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"apply_preset": changes}))


def test_the_documents_files_pass(folder: Path) -> None:
    assert select(folder).config.model.model_flavour is None
    assert select(folder, "model_flavour=v1").config.model.model_flavour == "v1"


def test_more_blocks_to_swap_than_there_are(folder: Path) -> None:
    weights = "pretrained_model_name_or_path=weights"
    with pytest.raises(ConfigError, match=r"^command line: musubi_blocks_to_swap: 9 of 2 blocks"):
        select(folder, weights, "musubi_blocks_to_swap=9")
    assert select(folder, weights).config.memory.musubi_blocks_to_swap == 0


@pytest.mark.parametrize("named", ["weights", "./weights", "someone/else", "someone/some-model.v1", "v1"])
def test_weights_that_may_exist(folder: Path, named: str) -> None:
    shutil.copytree(folder / "weights", folder / "someone" / "else")
    for given in (named, str(folder / "weights")):
        loaded = select(folder, f"pretrained_model_name_or_path={given}")
        assert loaded.config.model.pretrained_model_name_or_path == given


@pytest.mark.parametrize(
    ("named", "cure"),
    [
        ("/nowhere/weights", "full path"),
        ("./wheights", "full path"),
        ("~/weights", "full path"),
        ("../weights", "full path"),
        ("models/omnigen/v1", "full path"),
        ("omnigen", "owner/name"),
        ("tinny", "did you mean 'tiny'"),
    ],
)
def test_weights_that_do_not_exist(folder: Path, named: str, cure: str) -> None:
    with pytest.raises(ConfigError) as caught:
        select(folder, f"pretrained_model_name_or_path={named}")
    assert f"pretrained_model_name_or_path: there is no folder '{named}'" in str(caught.value)
    assert cure in str(caught.value)


@pytest.mark.parametrize("part", ["transformer/config.json", "vae/config.json", "tokenizer"])
def test_a_folder_that_lacks_a_part(folder: Path, part: str) -> None:
    path = folder / "weights" / part
    path.rmdir() if path.is_dir() else path.unlink()
    with pytest.raises(ConfigError, match=f"weights' lacks {part}"):
        select(folder, "pretrained_model_name_or_path=weights")


def test_an_unknown_flavour(folder: Path) -> None:
    with pytest.raises(ConfigError, match="no flavour 'v2'"):
        select(folder, "model_flavour=v2")


def test_a_class_that_the_family_does_not_have_names_the_file(folder: Path) -> None:
    preset(folder, target_module=["Attenton"])
    with pytest.raises(ConfigError, match=r"lycoris_config\.json: apply_preset\.target_module: .*Attenton"):
        select(folder)


def test_patterns_are_compared_with_a_local_model_and_else_only_read(folder: Path) -> None:
    preset(folder, target_name=[r"layers\.5\."])
    select(folder)
    with pytest.raises(ConfigError, match=r"lycoris_config\.json: apply_preset\.target_name: .*layers"):
        select(folder, "pretrained_model_name_or_path=weights")
    (folder / "weights" / "transformer" / "config.json").write_text('{"other": 1}')
    select(folder, "pretrained_model_name_or_path=weights")
    preset(folder, target_name=["*.to_q"])
    with pytest.raises(ConfigError, match="no regular expression"):
        select(folder)


def test_a_preset_that_leaves_no_layer_is_refused_before_anything_loads(folder: Path) -> None:
    preset(folder, target_module=["Attention"], exclude_name=[".*"])
    with pytest.raises(ConfigError, match=r"lycoris_config\.json: apply_preset: .* mean no layer: nothing would be"):
        select(folder)


def test_settings_by_a_name_that_no_adapted_layer_has_name_the_file(folder: Path) -> None:
    preset(folder, target_module=["Attention"], name_algo_map={r"layers\.0$": {"factor": 4}})
    with pytest.raises(ConfigError, match=r"lycoris_config\.json: apply_preset\.name_algo_map: .*would be ignored"):
        select(folder)


def test_full_training_has_no_layers_to_check(folder: Path) -> None:
    preset(folder, target_module=["Attenton"])
    words = json.loads((folder / "config" / "omnigen" / "multidatabackend.json").read_text())
    words[0]["is_regularisation_data"] = False
    (folder / "config" / "omnigen" / "multidatabackend.json").write_text(json.dumps(words))
    select(folder, "model_type=full")


def test_the_checks_load_no_torch(folder: Path) -> None:
    code = (
        "import sys, pathlib; from simpletuner.cli.select import select_run\n"
        "select_run(['pretrained_model_name_or_path=weights'], pathlib.Path.cwd(), {})\n"
        "sys.exit(str({'torch', 'diffusers', 'lycoris'} & set(sys.modules) or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
