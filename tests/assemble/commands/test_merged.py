from __future__ import annotations

from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from torch import nn

from simpletuner.assemble.commands.adapted_model import adapted, read_adapter
from simpletuner.assemble.commands.merged import copy_rest, merged_weights, put_into
from simpletuner.core.errors import ConfigError
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.layers import TINY_FOLDER
from simpletuner.models.source import HubCommit
from tests.adapters.export.files import LOKR, STANDARD, adapter_file
from tests.models.hub_cache import NEW, OLD, as_blob, damage, keep


@pytest.mark.parametrize("settings", [STANDARD, LOKR], ids=["standard", "lokr"])
def test_at_no_strength_the_weights_are_the_base_models_to_the_bit(tmp_path: Path, settings: dict[str, object]) -> None:
    family = OmniGen()
    base = family.load_denoiser(TINY_FOLDER, torch.float32)
    model = adapted(
        family, family.load_denoiser(TINY_FOLDER, torch.float32), read_adapter(adapter_file(tmp_path, settings))
    )
    own = dict(base.named_parameters())
    none, half, whole = (merged_weights(model.denoiser, model.adapter, strength) for strength in (0.0, 0.5, 1.0))
    assert len(none) == 8 * 6
    for name in none:
        assert torch.equal(none[name], own[name])
        assert torch.allclose(half[name] - none[name], (whole[name] - none[name]) / 2, atol=1e-6)
        assert not torch.equal(half[name], whole[name])


def test_weights_are_put_in_by_name() -> None:
    layer = nn.Linear(2, 2)
    put_into(layer, {"weight": torch.eye(2)})
    assert torch.equal(layer.weight, torch.eye(2))
    with pytest.raises(KeyError):
        put_into(layer, {"weights": torch.eye(2)})


def test_the_rest_of_a_model_lies_where_each_program_looks(tmp_path: Path) -> None:
    copy_rest(TINY_FOLDER, tmp_path / "ours", official=False)
    copy_rest(TINY_FOLDER, tmp_path / "theirs", official=True)
    found = [
        sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob(name))
        for name in ("tokenizer.json", "*.safetensors")
    ]
    assert found == [
        ["ours/tokenizer/tokenizer.json", "theirs/tokenizer.json"],
        [f"{who}/vae/diffusion_pytorch_model.safetensors" for who in ("ours", "theirs")],
    ]


def test_what_lies_beside_is_of_the_commit_of_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    keep(tmp_path / "hub", "some/where", OLD, TINY_FOLDER)
    keep(tmp_path / "hub", "some/where", NEW, None)
    copy_rest(HubCommit("some/where", OLD), tmp_path / "ours", official=False)
    assert {path.name for path in (tmp_path / "ours").iterdir()} >= {"vae", "tokenizer", "scheduler"}


def test_a_damaged_file_of_the_hub_is_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(tmp_path / "assets"))
    keep(tmp_path / "hub", "some/where", OLD, TINY_FOLDER)
    snapshot = tmp_path / "hub" / "models--some--where" / "snapshots" / OLD
    damage(as_blob(snapshot / "vae" / "diffusion_pytorch_model.safetensors", snapshot))
    with pytest.raises(ConfigError, match=r"safetensors: --model: the file is damaged"):
        copy_rest(HubCommit("some/where", OLD), tmp_path / "ours", official=False)
