"""An adapter file that training starts from (`init_lora`), ours or another program's."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError, safe_open
from torch import Tensor

from simpletuner.adapters.base import Adapter, difference
from simpletuner.adapters.lycoris.geometry import StoredLayer, match_layers, prefixed, stored_settings
from simpletuner.adapters.targets import LoraSettings
from simpletuner.config.files.lycoris import LycorisConfig, parse_lycoris
from simpletuner.config.reading.read import read_object
from simpletuner.core.errors import ConfigError, DataError

_KEY = "init_lora"
_STEP = "global_step"
_DOWN = ".lora_A.weight"
# What comes before a layer's dotted path in files of diffusers, of PEFT and of trainers that write for ComfyUI.
_COMPONENT = "transformer."
_COMFYUI = "diffusion_model."
# Modules in LyCORIS's, whose tensors have two dots.
_MODULES = frozenset("lora_up lora_mid lora_down a1 a2 b1 b2 bm q_layer p_layer".split())
_BEFORE = (_COMPONENT, "base_model.model.", _COMFYUI)
# PEFT keeps what its tensors do not say in a file of this name beside them.
_PEFTS_OWN = "adapter_config.json"
_DESCRIBED = "lora_adapter_metadata"
# With these, alpha / rank is not the strength of every layer.
_UNEVEN = ("alpha_pattern", "rank_pattern", "use_rslora")
_UNSAFE = "is no .safetensors file: other formats can run code when read"
# How an adapter is trained, not what it is: these are the user's own, whatever the file was trained with.
_OF_TRAINING = (
    *("multiplier", "dropout", "rank_dropout", "module_dropout", "bypass_mode"),
    *("tlora_min_rank", "tlora_alpha"),
)


@dataclass(frozen=True)
class AdapterFile:
    """What a safetensors file of adapter weights holds. ``kind`` is told by its names: PEFT's or LyCORIS's.

    Names with dotted paths are as diffusers writes them (``transformer.<path>.lora_A.weight``) or, where LyCORIS's
    tensors have them, as LyCORIS does.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    kind: Literal["lycoris", "standard"]
    metadata: Mapping[str, str] = field(default_factory=dict)


def read_adapter_file(path: Path) -> AdapterFile:
    """Read ``path``. Raises ConfigError when it is no safetensors file with adapter weights."""
    if path.suffix != ".safetensors":
        told = "is a folder" if path.is_dir() else _UNSAFE
        inside = path / "pytorch_lora_weights.safetensors"
        cure = f"name {inside}" if inside.is_file() else "name a .safetensors file"
        raise ConfigError(f"'{path.name}' {told}", file=path, key=_KEY, cure=cure)
    tensors, metadata = _read(path, _KEY)
    if not any(".lora_A." in name for name in tensors):
        return AdapterFile(path, {_flat(name): tensor for name, tensor in tensors.items()}, "lycoris", metadata)
    named = {f"{_COMPONENT}{_path(name)}": tensor for name, tensor in tensors.items()}
    return AdapterFile(path, named, "standard", _pefts_own(path) | metadata)


def _path(name: str) -> str:
    """A dotted name without what comes before the layer's path; as it is when nothing does."""
    before = next((before for before in _BEFORE if name.startswith(before)), "")
    return name.removeprefix(before)


def _flat(name: str) -> str:
    """LyCORIS's name of a tensor: one dot before its own part, ``lokr_w1`` or ``lora_down.weight``."""
    if not name.startswith(_COMFYUI):
        return name
    *layer, last = _path(name).split(".")
    own = f"{layer.pop()}.{last}" if layer and layer[-1] in _MODULES else last
    return f"lycoris_{'_'.join(layer)}.{own}"


def _pefts_own(path: Path) -> dict[str, str]:
    """The LoraConfig of PEFT beside ``path``, in the convention of diffusers; nothing when there is none."""
    beside = path.with_name(_PEFTS_OWN)
    if not beside.is_file():
        return {}
    said = {f"{_COMPONENT}{key}": value for key, value in read_object(beside).items()}
    return {_DESCRIBED: json.dumps(said)}


def _read(path: Path, key: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
            return tensors, file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"cannot be read: {error}", file=path, key=key, cure="check the file") from None


def first_step(given: int | None, file: AdapterFile, steps: int) -> int:
    """The step that counting starts from: ``given``, else the file's own. ``steps`` is the length of the run.

    Raises ConfigError when nothing would be left to train.
    """
    step = _saved_step(file) if given is None else given
    if step >= steps:
        source = "init_lora_step is" if given is not None else "the file was saved at step"
        raise ConfigError(
            f"{source} {step}, and the run ends at step {steps}",
            file=file.path,
            key="init_lora_step",
            cure=f"set init_lora_step=0 to count from the start, or max_train_steps above {step}",
        )
    return step


def _saved_step(file: AdapterFile) -> int:
    text = file.metadata.get(_STEP, "0")
    if not text.isdecimal():
        cure = "set init_lora_step yourself"
        raise ConfigError(f"its metadata say {_STEP} '{text}', which is no step", file=file.path, key=_KEY, cure=cure)
    return int(text)


def lycoris_of(file: AdapterFile, own: LycorisConfig, paths: Collection[str]) -> tuple[LycorisConfig, tuple[str, ...]]:
    """The LyCORIS settings of the network in ``file``, and lines for the user.

    From its metadata where they say it, else from its shapes; dropout and what else concerns training alone come from
    ``own``. ``paths`` are the layers of the model. Raises ConfigError when the file is for another model.
    """
    if file.kind != "lycoris":
        cure = "use lora_type=standard, or a file of LyCORIS"
        raise ConfigError("holds a standard LoRA (PEFT), and lora_type is lycoris", file=file.path, key=_KEY, cure=cure)
    try:
        stored = stored_layers(file.tensors)
        prefix, found = match_layers(stored, dict.fromkeys(paths))
        made = _said(file, prefix) or stored_settings({found[name]: layer for name, layer in stored.items()}, prefix)
    except ConfigError as error:
        raise ConfigError(error.reason, file=file.path, key=_KEY, cure=error.cure) from None
    kept = {key: value for key, value in made.items() if key not in _OF_TRAINING or key == "multiplier"}
    ours = {key: value for key, value in own.raw.items() if key in _OF_TRAINING}
    config = parse_lycoris(kept | ours, file.path)
    if config.raw == own.raw:
        return config, ()
    return config, (f"the adapter has the shape of {file.path.name}; lycoris_config is read for how it is trained",)


def lora_of(file: AdapterFile, own: LoraSettings) -> tuple[LoraSettings, tuple[str, ...]]:
    """The settings of the standard LoRA in ``file``, and lines for the user; its dropout is ``own``'s.

    Rank and layers are told by its tensors, alpha by its metadata, else it is ``own``'s. Raises ConfigError when the
    file is LyCORIS's, or has layers of several ranks.
    """
    ranks = {name: tensor.shape[0] for name, tensor in file.tensors.items() if name.endswith(_DOWN)}
    if file.kind != "standard" or len(set(ranks.values())) != 1:
        reason = "holds no standard LoRA of one rank, and lora_type is standard"
        raise ConfigError(
            reason, file=file.path, key=_KEY, cure="use lora_type=lycoris, or a file of PEFT or diffusers"
        )
    rank = next(iter(ranks.values()))
    paths = tuple(name.removeprefix("transformer.").removesuffix(_DOWN) for name in sorted(ranks))
    alpha = described_alpha(file)
    if alpha is None:
        alpha = own.alpha / own.rank * rank
    made = LoraSettings(rank, alpha, own.dropout, paths)
    told = f"the adapter has the shape of {file.path.name}: rank {rank}, alpha {alpha:g}, {len(paths)} layers"
    return made, (told,)


def described_alpha(file: AdapterFile, key: str = _KEY) -> float | None:
    """What the LoraConfig in the metadata of a standard LoRA says, as diffusers writes it; None when none is there.

    Raises ConfigError, naming the option ``key``, when alpha / rank is not the strength of every layer.
    """
    try:
        described = dict(json.loads(file.metadata.get(_DESCRIBED, "{}")))
    except (ValueError, TypeError):
        return None
    if uneven := [name for name in _UNEVEN if described.get(f"{_COMPONENT}{name}")]:
        reason = f"its layers differ in strength ({', '.join(uneven)}), which a standard LoRA here does not"
        cure = "use the file that it was made from, or one of LyCORIS"
        raise ConfigError(reason, file=file.path, key=key, cure=cure)
    try:
        return float(described[f"{_COMPONENT}lora_alpha"])
    except (ValueError, TypeError, KeyError):
        return None


def _said(file: AdapterFile, prefix: str) -> dict[str, Any] | None:
    """The settings in the metadata, when this version can read them; the prefix is that of the file's names.

    A program that names the tensors anew leaves the metadata as they were.
    """
    try:
        content = json.loads(file.metadata.get("lycoris_config", ""))
        said = dict(parse_lycoris(content, file.path).raw)
    except (ValueError, TypeError, AttributeError, ConfigError):
        return None
    return prefixed(said, prefix)


def stored_layers(tensors: Mapping[str, Tensor]) -> dict[str, StoredLayer]:
    """LyCORIS's ``tensors`` by the names of their layers."""
    layers: dict[str, StoredLayer] = {}
    for full, tensor in tensors.items():
        layer, _, name = full.partition(".")
        shapes, numbers = ({name: tuple(tensor.shape)}, {name: float(tensor)} if tensor.numel() == 1 else {})
        former = layers.get(layer, StoredLayer({}, {}))
        layers[layer] = StoredLayer({**former.shapes, **shapes}, {**former.numbers, **numbers})
    return layers


def start_from(adapter: Adapter, file: AdapterFile) -> None:
    """Give ``adapter`` the values of ``file``. Raises ConfigError when they are for another model."""
    try:
        adapter.load_tensors(file.tensors)
    except DataError as error:
        problem = difference(adapter.tensors(), file.tensors) or error.reason
        cure = "start from a file that was trained on this model"
        raise ConfigError(f"does not fit this model: {problem}", file=file.path, key=_KEY, cure=cure) from None


def read_average(path: Path, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The raw average (`init_lora_ema`) for the parameters ``own``. Raises ConfigError when it is not theirs."""
    key = "init_lora_ema"
    cure = "give the ema_shadow.safetensors of the checkpoint that init_lora comes from"
    if path.suffix != ".safetensors":
        raise ConfigError(f"'{path.name}' {_UNSAFE}", file=path, key=key, cure=cure)
    shadow, _ = _read(path, key)
    if problem := difference(own, shadow):
        raise ConfigError(f"is not the average of this adapter: {problem}", file=path, key=key, cure=cure)
    return shadow
