"""The only door to LyCORIS."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from lycoris import LycorisNetwork, create_lycoris
from lycoris.config import PRESET
from torch import Tensor, nn

from simpletuner.adapters.base import Adapter, difference
from simpletuner.adapters.preset import require_matches, require_name_matches, resolve_preset
from simpletuner.config.lycoris import LycorisConfig
from simpletuner.config.lycoris_rules import MAPS, runs_as_branch
from simpletuner.core.errors import ConfigError, DataError

_CLASS_STATE = (
    "ENABLE_CONV",
    "TARGET_REPLACE_MODULE",
    "TARGET_REPLACE_NAME",
    "LORA_PREFIX",
    "MODULE_ALGO_MAP",
    "NAME_ALGO_MAP",
    "USE_FNMATCH",
    "TARGET_EXCLUDE_NAME",
)


class LycorisAdapter(Adapter):
    """A LyCORIS network applied to a denoiser. Its parameters are its own; the denoiser's stay frozen."""

    def __init__(self, network: LycorisNetwork, paths: Mapping[str, str]) -> None:
        """``paths`` maps LyCORIS's module names to dotted paths in the denoiser."""
        super().__init__()
        self.network = network
        self._paths = dict(paths)

    def tensors(self) -> dict[str, Tensor]:
        """Public names (``lycoris_layers_0_self_attn_to_q.lokr_w1``) to tensors, as other programs read them."""
        return {name: tensor.detach() for name, tensor in self.network.state_dict().items()}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the values of ``tensors``; the names and shapes must be exactly this network's. Raises DataError."""
        own = self.tensors()
        if problem := difference(own, tensors):
            raise DataError(
                f"the adapter file does not fit this adapter: {problem}",
                cure="use the lycoris_config.json it was trained with, or start fresh with --fresh",
            )
        self.network.load_state_dict(dict(tensors))

    def parameters_by_path(self) -> dict[str, int]:
        """The dotted path of each adapted layer to its number of trainable values."""
        return {
            self._paths[layer.lora_name]: sum(parameter.numel() for parameter in layer.parameters())
            for layer in self.network.loras
        }

    @contextmanager
    def strength(self, multiplier: float) -> Iterator[None]:
        """Scale the adapter's effect inside the block; 0 is the base model. The former strength comes back."""
        former = self.network.multiplier
        self._turn_to(multiplier)
        try:
            yield
        finally:
            self._turn_to(former)

    def _turn_to(self, multiplier: float) -> None:
        """At 0 the adapter is taken off: with ``dora_wd`` or ``rescaled``, LyCORIS at strength 0 is not the base."""
        if multiplier == 0 and self.network.multiplier != 0:
            self.network.restore()
        elif multiplier != 0 and self.network.multiplier == 0:
            for layer in self.network.loras:
                layer.apply_to()
        self.network.set_multiplier(multiplier)


@contextmanager
def _named_preset(preset: Mapping[str, Any]) -> Iterator[str]:
    """A name under which LyCORIS finds ``preset``. It keeps presets as class attributes that outlive the call:
    both the name and the attributes are put back.
    """
    name = "simpletuner"
    former = {attribute: LycorisNetwork.__dict__[attribute] for attribute in _CLASS_STATE}
    PRESET[name] = dict(preset)
    try:
        yield name
    finally:
        del PRESET[name]
        for attribute, value in former.items():
            setattr(LycorisNetwork, attribute, value)


@contextmanager
def _quiet() -> Iterator[None]:
    """LyCORIS logs a dozen lines at every creation; what a user needs of them, the coverage report says."""
    logger = logging.getLogger("LyCORIS")
    former = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(former)


def _module_classes(denoiser: nn.Module) -> set[str]:
    return {
        type(module).__name__
        for module in denoiser.modules()
        if any(isinstance(child, nn.Linear) for child in module.modules()) and module is not denoiser
    }


def _options(config: LycorisConfig) -> dict[str, Any]:
    """What LyCORIS is called with; LoKr is a branch unless the file says otherwise (docs/decisions/0006)."""
    options = {key: value for key, value in config.raw.items() if key != "apply_preset"}
    return options | {"bypass_mode": runs_as_branch(config.raw)}


def _with_branches(preset: Mapping[str, Any], config: LycorisConfig) -> dict[str, Any]:
    """The preset where layers with an ``algo`` of their own do not inherit the form that suits the file's."""

    def settled(own: Mapping[str, Any]) -> dict[str, Any]:
        return {**own, "bypass_mode": runs_as_branch({**config.raw, **own})} if "algo" in own else dict(own)

    maps = {key: {name: settled(own) for name, own in preset[key].items()} for key in MAPS if key in preset}
    return {**preset, **maps}


def attach_lycoris(denoiser: nn.Module, config: LycorisConfig, aliases: Mapping[str, str], seed: int) -> LycorisAdapter:
    """Lay the LyCORIS network of ``config`` over ``denoiser``; its first values depend on ``seed`` alone.

    ``aliases`` maps generic class names of a preset to the model's own. Raises ConfigError when a target matches
    nothing.
    """
    preset = resolve_preset(config.raw.get("apply_preset", {}), aliases)
    require_matches(preset, _module_classes(denoiser))
    names = dict(denoiser.named_modules())
    require_name_matches(preset, names)
    with _quiet(), _named_preset(_with_branches(preset, config)) as name, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = create_lycoris(denoiser, preset=name, **_options(config))
        _require_layers(network)
        network.apply_to()
        prefix = LycorisNetwork.LORA_PREFIX
    paths = {f"{prefix}_{path}".replace(".", "_"): path for path in names}
    network.requires_grad_(requires_grad=True)
    return LycorisAdapter(network, paths)


def _require_layers(network: LycorisNetwork) -> None:
    if not network.loras:
        raise ConfigError(
            "the LyCORIS preset matches no layer: nothing would be trained",
            key="apply_preset",
            cure='for example "target_module": ["Attention", "FeedForward"]',
        )
