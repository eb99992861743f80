from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from simpletuner.core.errors import ConfigError
from simpletuner.models.omnigen.layers import TINY_FOLDER
from simpletuner.models.omnigen.preview import PUBLIC, load_preview_decoder
from tests.models.hub_cache import NEW, keep

CPU = torch.device("cpu")


def test_a_folder_that_has_one_is_decoded_with_it(tmp_path: Path) -> None:
    shutil.copytree(TINY_FOLDER / "tae", tmp_path / "tae")
    latents = torch.randn(2, 4, 8, 4)
    decoders = [load_preview_decoder(source, CPU, torch.float32) for source in (TINY_FOLDER, tmp_path)]
    own, copied = (decoder.decode(latents) for decoder in decoders)
    assert own.shape == (2, 3, 64, 32)
    assert own.dtype == torch.float32
    assert own.abs().max() <= 1
    assert torch.equal(own, copied)
    half = load_preview_decoder(tmp_path, CPU, torch.bfloat16).decode(latents)
    assert half.dtype == torch.float32
    assert (half - own).abs().mean() < 0.05


def test_a_damaged_one_is_refused(tmp_path: Path) -> None:
    shutil.copytree(TINY_FOLDER / "tae", tmp_path / "tae")
    file = tmp_path / "tae" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    del weights[next(name for name in weights if name.startswith("decoder"))]
    save_file(weights, file)
    with pytest.raises(ConfigError, match="lacks 1 weights"):
        load_preview_decoder(tmp_path, CPU, torch.float32)


@pytest.mark.filterwarnings("ignore:The `local_dir_use_symlinks` argument:UserWarning")
def test_others_take_the_public_one_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite asks no network: it is named while it cannot be had, and found where the hub keeps its files."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConfigError, match=PUBLIC):
        load_preview_decoder(tmp_path, CPU, torch.float32)
    kept = tmp_path / f"models--{PUBLIC.replace('/', '--')}"
    shutil.copytree(TINY_FOLDER / "tae", kept / "snapshots" / ("0" * 40))
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("0" * 40)
    decoder = load_preview_decoder("any/model", CPU, torch.float32)
    assert decoder.decode(torch.zeros(1, 4, 2, 2)).shape == (1, 3, 16, 16)
    keep(tmp_path, PUBLIC, NEW, None)
    with pytest.raises(ConfigError, match=PUBLIC):
        load_preview_decoder("any/model", CPU, torch.float32)
    again = load_preview_decoder("any/model", CPU, torch.float32, "0" * 40)
    assert torch.equal(again.decode(torch.ones(1, 4, 2, 2)), decoder.decode(torch.ones(1, 4, 2, 2)))
