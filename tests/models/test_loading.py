"""Weights that are not there, and weights that are only half there."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, OmniGenTransformer2DModel
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from simpletuner.core.errors import ConfigError
from simpletuner.models.family import MemorySaving
from simpletuner.models.loading import load_pretrained
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.layers import TINY_FOLDER
from simpletuner.models.source import HubCommit, Source
from tests.models.hub_cache import NEW, OLD, keep
from tests.models.weights_hub import REPOSITORY, WeightsHub, serving

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


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WeightsHub]:
    """A hub that has the tiny model; nothing is fetched yet."""
    with serving(WeightsHub({OLD: TINY_FOLDER}, OLD)) as made:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "ENDPOINT", made.endpoint)
        template = made.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(tmp_path / "assets"))
        yield made


VAE = "vae/diffusion_pytorch_model.safetensors"


@pytest.mark.parametrize("source", [HubCommit(REPOSITORY, OLD), REPOSITORY])
def test_weights_that_arrive_damaged_are_refused_and_fetched_anew(
    hub: WeightsHub, monkeypatch: pytest.MonkeyPatch, source: Source
) -> None:
    hub.spoiled = {VAE}
    with pytest.raises(ConfigError, match=rf"{VAE}: pretrained_model_name_or_path: the file is damaged") as told:
        load_pretrained(AutoencoderKL, source, "vae", torch.float32)
    fetched = len(hub.fetched(VAE))
    with pytest.raises(ConfigError, match="the file is damaged"):
        # Another process finds it in the cache, and does not begin to load it.
        load_pretrained(_Never, source, "vae", torch.float32)
    hub.spoiled = set()
    subprocess.run(shlex.split(str(told.value.cure).split("`")[1]), check=True)
    load_pretrained(AutoencoderKL, source, "vae", torch.float32)
    assert len(hub.fetched(VAE)) > fetched
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    load_pretrained(AutoencoderKL, source, "vae", torch.float32)


class _Never:
    """A model that must not be asked for."""

    @classmethod
    def from_pretrained(cls, source: str, **options: object) -> None:
        raise AssertionError(source, options)


def test_damage_that_keeps_a_file_from_loading_is_told_as_such(hub: WeightsHub, tmp_path: Path) -> None:
    """Without it the reader would be told that the weights have another shape, or that no JSON is there."""
    shutil.copytree(TINY_FOLDER / "vae", tmp_path / "content" / "vae")
    hub.commits = {OLD: tmp_path / "content"}
    hub.spoiled = {"vae/config.json"}
    with pytest.raises(ConfigError, match=r"config\.json: .*: its git hash is"):
        load_pretrained(AutoencoderKL, HubCommit(REPOSITORY, OLD), "vae", torch.float32)
