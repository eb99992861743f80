"""An adapter added to the weights of its base model, as a model that needs no adapter."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from torch import Tensor, nn

from simpletuner.adapters.base import Adapter
from simpletuner.core.downloads import require_whole
from simpletuner.core.errors import ConfigError
from simpletuner.models.source import HubCommit, Source

_BESIDE = ("vae", "tokenizer", "scheduler")
_INDEX = "model_index.json"


@torch.no_grad()
def merged_weights(denoiser: nn.Module, adapter: Adapter, strength: float) -> dict[str, Tensor]:
    """The weights (out, in) of the adapted layers with the adapter in them, by name, float32.

    Each layer is asked for the images of the unit vectors: whatever the method does, these are its weight. Raises
    ConfigError for a layer that is no linear one.
    """
    denoiser.eval()
    adapter.eval()
    with adapter.strength(strength):
        return {f"{path}.weight": _weight(denoiser.get_submodule(path), path) for path in adapter.parameters_by_path()}


def _weight(layer: nn.Module, path: str) -> Tensor:
    # PEFT puts its own module around the layer.
    base = dict(layer.named_children()).get("base_layer", layer)
    if not isinstance(base, nn.Linear):
        raise ConfigError(f"{path} is no linear layer, and others are not merged", key="--format", cure="exclude it")
    columns: Tensor = layer(torch.eye(base.in_features, dtype=base.weight.dtype))
    return (columns if base.bias is None else columns - base.bias).T.contiguous()


def put_into(denoiser: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Replace the weights of ``denoiser`` that ``weights`` names."""
    own = dict(denoiser.named_parameters())
    with torch.no_grad():
        for name, weight in weights.items():
            own[name].copy_(weight)


def copy_rest(source: Source, folder: Path, *, official: bool) -> None:
    """Put VAE, tokenizer and scheduler of ``source`` beside the weights in ``folder``, as the layout has them.

    Raises ConfigError for a file that is not what the hub has.
    """
    place = _folder_of(source)
    for part in _BESIDE:
        require_whole(place / part, "--model")
    if official:
        # The package looks for the tokenizer beside the weights.
        shutil.copytree(place / "tokenizer", folder, dirs_exist_ok=True)
        shutil.copytree(place / "vae", folder / "vae")
        return
    for part in _BESIDE:
        shutil.copytree(place / part, folder / part)
    if (place / _INDEX).is_file():
        shutil.copy(place / _INDEX, folder)


def _folder_of(source: Source) -> Path:
    """``source``, or what the hub's client has fetched of it."""
    wanted = [_INDEX, *(f"{part}/*" for part in _BESIDE)]
    if isinstance(source, HubCommit):
        return Path(snapshot_download(source.repository, revision=source.commit, allow_patterns=wanted))
    return Path(source if Path(source).is_dir() else snapshot_download(str(source), allow_patterns=wanted))
