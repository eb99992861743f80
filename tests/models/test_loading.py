"""Weights that are not there, and weights that are only half there."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
import torch
from diffusers import OmniGenTransformer2DModel
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from simpletuner.core.errors import ConfigError
from simpletuner.models.family import MemorySaving
from simpletuner.models.loading import load_pretrained
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.layers import TINY_FOLDER
from simpletuner.models.source import HubCommit
from tests.models.hub_cache import NEW, OLD, keep

POSITIONS = "patch_embedding.pos_embed"


def test_a_folder_that_is_not_there_names_the_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pretrained_model_name_or_path"):
        OmniGen().load_denoiser(tmp_path, torch.float32)


def test_a_missing_weight_is_never_filled_with_random_numbers(tmp_path: Path) -> None:
    shutil.copytree(TINY_FOLDER / "transformer", tmp_path / "transformer")
    file = tmp_path / "transformer" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    del weights["layers.3.self_attn.to_q.weight"]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ConfigError, match=r"lacks 1 weights.*layers\.3\.self_attn\.to_q"):
        OmniGen().load_denoiser(tmp_path, torch.float32)


def test_the_tiny_models_positions_are_computed() -> None:
    stored = load_file(TINY_FOLDER / "transformer" / "diffusion_pytorch_model.safetensors")
    loaded = OmniGen().load_denoiser(TINY_FOLDER, torch.float32).state_dict()
    assert POSITIONS not in stored
    assert loaded[POSITIONS].shape == (1, 192 * 192, 256)
    assert loaded[POSITIONS].std() > 0.1


def test_saving_and_loading_keeps_every_weight(tmp_path: Path) -> None:
    family = OmniGen()
    first = family.load_denoiser(TINY_FOLDER, torch.float32)
    family.save_denoiser(first, tmp_path / "transformer", torch.float32)
    second = family.load_denoiser(tmp_path, torch.float32).state_dict()
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.state_dict().items())


def test_a_hub_that_does_not_answer_is_asked_once(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    began = time.monotonic()
    with pytest.raises(
        ConfigError, match=r"'tokenizer' from 'no/where': it was not fetched before, and http://"
    ) as told:
        OmniGen().load_text("no/where", builtin_negative=True)
    assert "HF_ENDPOINT" in str(told.value.cure)
    assert time.monotonic() - began < 20, "the hub's own client tries for 47 seconds"
    assert "Retrying" not in capfd.readouterr().err


def test_what_was_fetched_before_needs_no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    keep(tmp_path, "some/where", OLD, TINY_FOLDER)
    found: OmniGenTransformer2DModel = load_pretrained(
        OmniGenTransformer2DModel, "some/where", "transformer", torch.float32, cache_dir=str(tmp_path)
    )
    assert len(found.layers) == 8


def test_all_parts_are_of_the_commit_that_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    keep(tmp_path, "some/where", OLD, TINY_FOLDER)
    keep(tmp_path, "some/where", NEW, None)
    family, commit = OmniGen(), HubCommit("some/where", OLD)
    assert len(family.load_denoiser(commit, torch.float32).layers) == 8
    text = family.load_text(commit, builtin_negative=False)
    assert text.fingerprint() == family.load_text(TINY_FOLDER, builtin_negative=False).fingerprint()
    loaded, own = (
        family.load_codec(source, torch.device("cpu"), torch.float32, MemorySaving()).fingerprint()
        for source in (commit, TINY_FOLDER)
    )
    assert loaded == own
    with pytest.raises(ConfigError, match=f"'tokenizer' from 'some/where@{NEW}': it was not fetched before"):
        family.load_text(HubCommit("some/where", NEW), builtin_negative=False)
