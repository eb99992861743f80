"""A base model with an adapter file laid over it, for use and not for training."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from simpletuner.adapters.base import Adapter
from simpletuner.adapters.export.layers import stored_alpha
from simpletuner.adapters.initial import AdapterFile, lora_of, lycoris_of, read_adapter_file, stored_layers
from simpletuner.adapters.lycoris.adapter import attach_lycoris
from simpletuner.adapters.lycoris.geometry import match_layers, prefixed
from simpletuner.adapters.lycoris.settled import places
from simpletuner.adapters.peft import attach_lora
from simpletuner.adapters.targets import LoraSettings
from simpletuner.config.files.lycoris import LycorisConfig, parse_lycoris
from simpletuner.core.errors import ConfigError, DataError
from simpletuner.models.family import ModelFamily

_KEY = "--adapter"
_PLAIN = {"multiplier": 1.0, "linear_dim": 1, "linear_alpha": 1}


@dataclass(frozen=True)
class AdaptedModel:
    """A denoiser of ``family`` and the adapter over it."""

    family: ModelFamily
    denoiser: nn.Module
    adapter: Adapter


def read_adapter(path: Path) -> AdapterFile:
    """The adapter file ``path``. Raises ConfigError when it is none."""
    try:
        return read_adapter_file(path)
    except ConfigError as error:
        raise ConfigError(error.reason, file=path, key=_KEY, cure=error.cure) from None


def adapted(family: ModelFamily, denoiser: nn.Module, file: AdapterFile) -> AdaptedModel:
    """Lay the adapter of ``file`` over ``denoiser``, in the number format of the file.

    Raises ConfigError when it was trained on another model, or the file does not say how it is built.
    """
    try:
        adapter = (_standard if file.kind == "standard" else _lycoris)(family, denoiser, file)
        if any(tensor.dtype == torch.bfloat16 for tensor in file.tensors.values()):
            adapter.narrow(torch.bfloat16)
        adapter.load_tensors(file.tensors)
    except (ConfigError, DataError) as error:
        cure = "give the base model it was trained on with --model" if isinstance(error, DataError) else error.cure
        raise ConfigError(error.reason, file=file.path, key=_KEY, cure=cure) from None
    return AdaptedModel(family, denoiser, adapter)


def _standard(family: ModelFamily, denoiser: nn.Module, file: AdapterFile) -> Adapter:
    stored_alpha(file)
    settings, _ = lora_of(file, LoraSettings(rank=1, alpha=1))
    return attach_lora(denoiser, settings, family.facts.class_aliases, family.linears(denoiser), 0)


def _lycoris(family: ModelFamily, denoiser: nn.Module, file: AdapterFile) -> Adapter:
    paths = [place.path for place in places(denoiser)]
    config = _described(file, paths) or _from_shapes(file, paths)
    return attach_lycoris(denoiser, config, family.facts.class_aliases, 0)


def _described(file: AdapterFile, paths: Collection[str]) -> LycorisConfig | None:
    """The settings in the metadata, all of them: the numbers are then those of the run, to the bit.

    But for the prefix: a program that names the tensors anew leaves the metadata as they were.
    """
    try:
        content = json.loads(file.metadata["lycoris_config"])
    except (KeyError, ValueError):
        return None
    prefix, _ = match_layers(stored_layers(file.tensors), dict.fromkeys(paths))
    return parse_lycoris(prefixed(parse_lycoris(content, file.path).raw, prefix), file.path)


def _from_shapes(file: AdapterFile, paths: Collection[str]) -> LycorisConfig:
    config, _ = lycoris_of(file, parse_lycoris(_PLAIN, file.path), paths)
    if any(name.endswith("lambda_layer") for name in file.tensors):
        raise ConfigError(
            "its metadata lack lycoris_config: how the ranks of a T-LoRA follow the noise is unknown",
            cure="use the file as simpletuner wrote it",
        )
    return config
