from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants

from simpletuner.core.errors import ConfigError
from simpletuner.models.omnigen.layers import TINY_FOLDER
from simpletuner.validation.scores.clip_files import DEFAULT, FALLBACK, KEY, FoundClip, find_clip, require_clip_name
from tests.models.hub_cache import NEW, OLD, as_blob, damage, keep

FOLDER = TINY_FOLDER / "clip"


def fetched(cache: Path, name: str, *, weights: str | None) -> Path:
    """A repository as the hub's client keeps it; ``weights`` is the name of its file."""
    below = cache / f"models--{name.replace('/', '--')}"
    snapshot = below / "snapshots" / "0123456789012345678901234567890123456789"
    shutil.copytree(FOLDER, snapshot)
    if weights != "model.safetensors":
        (snapshot / "model.safetensors").rename(snapshot / (weights or "pytorch_model.bin"))
    (below / "refs").mkdir()
    (below / "refs" / "main").write_text(snapshot.name)
    return snapshot


def test_a_folder_is_found_below_the_working_folder(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "mine")
    told: list[str] = []
    assert find_clip("mine", tmp_path, told.append) == FoundClip(tmp_path / "mine")
    assert find_clip(str(FOLDER), tmp_path, told.append).folder == FOLDER
    assert told == []


def test_a_commit_that_is_known_holds_for_the_repository_and_for_what_replaces_it(tmp_path: Path) -> None:
    without = tmp_path / "without"
    without.mkdir()
    (without / "config.json").write_text("{}")
    for repository, content in ((DEFAULT, without), (FALLBACK, FOLDER)):
        keep(tmp_path, repository, OLD, content)
        keep(tmp_path, repository, NEW, None)
    known = {DEFAULT: OLD, FALLBACK: OLD}
    found = find_clip(DEFAULT, tmp_path, lambda _text: None, known, tmp_path)
    assert (found.folder.name, found.commits) == (OLD, known)
    with pytest.raises(ConfigError, match=rf"'{FALLBACK}' lacks config\.json"):
        find_clip(DEFAULT, tmp_path, lambda _text: None, {DEFAULT: OLD}, tmp_path)


def test_a_damaged_file_of_the_hub_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(tmp_path / "assets"))
    snapshot = fetched(tmp_path, "someone/clip", weights="model.safetensors")
    blob = as_blob(snapshot / "model.safetensors", snapshot)
    assert find_clip("someone/clip", tmp_path, print, hub_cache=tmp_path).folder == snapshot
    assert find_clip(str(snapshot), tmp_path, print).folder == snapshot
    damage(blob)
    for named in ("someone/clip", str(snapshot)):
        with pytest.raises(ConfigError, match=f"{KEY}: the file is damaged"):
            find_clip(named, tmp_path, print, hub_cache=tmp_path)


def test_what_the_hub_has_is_taken(tmp_path: Path) -> None:
    told: list[str] = []
    snapshot = fetched(tmp_path, "someone/clip", weights="model.safetensors")
    found = find_clip("someone/clip", tmp_path, told.append, hub_cache=tmp_path)
    assert found == FoundClip(snapshot, {"someone/clip": snapshot.name})
    assert told == []


def test_a_repository_without_safetensors_is_replaced(tmp_path: Path) -> None:
    fetched(tmp_path, DEFAULT, weights=None)
    fallback = fetched(tmp_path, FALLBACK, weights="model.safetensors")
    told: list[str] = []
    found = find_clip(DEFAULT, tmp_path, told.append, hub_cache=tmp_path)
    assert found == FoundClip(fallback, dict.fromkeys((DEFAULT, FALLBACK), fallback.name))
    (line,) = told
    assert f"'{DEFAULT}' has no weights in safetensors, scores are {FALLBACK}'s" in line


def test_what_cannot_be_fetched_is_told_with_the_key(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="pretrained_evaluation_model_name_or_path: cannot fetch 'no/where'"
    ) as caught:
        find_clip("no/where", tmp_path, lambda _text: None, hub_cache=tmp_path)
    assert "hf download no/where" in str(caught.value.cure)
    fetched(tmp_path, FALLBACK, weights=None)
    with pytest.raises(ConfigError, match="has no model"):
        find_clip(FALLBACK, tmp_path, lambda _text: None, hub_cache=tmp_path)


@pytest.mark.parametrize("named", ["nowhere", "a/b/c", "../up", ""])
def test_a_name_that_is_no_hub_id_is_refused_at_once(named: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no folder|lacks"):
        require_clip_name(named, tmp_path)


def test_a_folder_without_the_parts_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(FOLDER, folder)
    require_clip_name("mine", tmp_path)
    (folder / "config.json").write_text(json.dumps({"model_type": "siglip"}))
    with pytest.raises(ConfigError, match="'mine' is a model of type 'siglip', not a CLIP"):
        require_clip_name("mine", tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ConfigError, match=r"'mine' lacks model\.safetensors"):
        require_clip_name("mine", tmp_path)
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(ConfigError, match=r"lacks preprocessor_config\.json, model\.safetensors"):
        require_clip_name("mine", tmp_path)
