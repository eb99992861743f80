"""The only door to LyCORIS."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from typing import Any

import torch
from lycoris import LycorisNetwork, create_lycoris
from lycoris.config import PRESET
from lycoris.modules.base import LycorisBaseModule
from lycoris.wrapper import network_module_dict
from torch import Tensor, nn

from simpletuner.adapters.base import Adapter, difference, require_fit
from simpletuner.adapters.lycoris.lokr import LokrBranch
from simpletuner.adapters.lycoris.masks import RankSchedule
from simpletuner.adapters.lycoris.preset import require_matches, require_name_matches, resolve_preset
from simpletuner.adapters.lycoris.selection import select_layers
from simpletuner.adapters.lycoris.settled import by_path, module_classes, places, settled
from simpletuner.adapters.lycoris.unsaved import unsaved_names
from simpletuner.adapters.lycoris.variants import ByDelta, Difference, NewWeight, RankBlocks, RowRanks
from simpletuner.config.files.lycoris import LycorisConfig
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
_WIDE = frozenset({"dora_scale", "lambda_layer", "scalar", "rescale"})
_BEFORE: dict[str, type[nn.Module]] = {
    **dict.fromkeys(("lora", "locon", "loha"), NewWeight),
    "lokr": LokrBranch,
    **dict.fromkeys(("glora", "ia3", "diag-oft", "boft"), ByDelta),
    "full": Difference,
    "dylora": RankBlocks,
    "tlora": RowRanks,
}
# LyCORIS's `full` takes the weight off its layer; as a difference it is laid over the layer like the others.
_LAID = {"apply_to": LycorisBaseModule.apply_to, "restore": LycorisBaseModule.restore}
_METHODS = {
    algo: type(network_module_dict[algo].__name__, (ours, network_module_dict[algo]), _LAID if algo == "full" else {})
    for algo, ours in _BEFORE.items()
}


class LycorisAdapter(Adapter):
    """A LyCORIS network applied to a denoiser. Its parameters are its own; the denoiser's stay frozen."""

    def __init__(self, network: LycorisNetwork, layers: Mapping[str, Mapping[str, Any]], config: LycorisConfig) -> None:
        """``layers`` maps the dotted path of each adapted layer to its settings; ``config`` is the whole file."""
        super().__init__()
        self.network = network
        self.config = config
        self._paths = {_name_of(path, config): path for path in layers}
        self._unsaved = {_name_of(path, config): unsaved_names(settings) for path, settings in layers.items()}

    @property
    def layers(self) -> dict[str, nn.Module]:
        """LyCORIS's module over each adapted layer, by the layer's dotted path."""
        return {self._paths[layer.lora_name]: layer for layer in self.network.loras}

    def tensors(self) -> dict[str, Tensor]:
        """Public names (``lycoris_layers_0_self_attn_to_q.lokr_w1``) to tensors, as other programs read them."""
        return {name: tensor.detach() for name, tensor in self.network.state_dict().items()}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the values of ``tensors``; the names and shapes must be exactly this network's. Raises DataError."""
        require_fit(self.tensors(), tensors, "lycoris_config.json")
        self.network.load_state_dict(dict(tensors))

    def parameters_by_path(self) -> dict[str, int]:
        """The dotted path of each adapted layer to its number of trainable values."""
        return {path: sum(value.numel() for value in layer.parameters()) for path, layer in self.layers.items()}

    def narrow(self, dtype: torch.dtype) -> None:
        """Keep the trained values in ``dtype``, but for a few that multiply all the others of their layer.

        They are singular values and norms of the weight; rounded to bf16 they would change the base model.
        """
        for name, parameter in self.named_parameters():
            if name.rpartition(".")[2] not in _WIDE:
                parameter.data = parameter.data.to(dtype)

    def private_tensors(self) -> dict[str, Tensor]:
        """What the public file does not restore exactly, by LyCORIS's names; see :mod:`.unsaved`."""
        return {name: tensor.detach() for name, tensor in self._private().items()}

    def _private(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for layer in self.network.loras:
            values = {**dict(layer.named_parameters()), **dict(layer.named_buffers())}
            names = [name for name in self._unsaved[layer.lora_name] if name in values]
            found |= {f"{layer.lora_name}.{name}": values[name] for name in names}
        return found

    def load_private(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back what :meth:`private_tensors` gave; called after :meth:`load_tensors`. Raises DataError."""
        own = self._private()
        if problem := difference(own, tensors):
            cure = "resume with the lycoris_config.json it was trained with, or start fresh with --fresh"
            raise DataError(f"the adapter's own state does not fit this adapter: {problem}", cure=cure)
        with torch.no_grad():
            for name, value in own.items():
                value.copy_(tensors[name])

    def before_pass(self, sigma: Tensor) -> None:
        """T-LoRA masks ranks by the share of noise of each row."""
        for layer in self.network.loras:
            if isinstance(layer, RowRanks):
                layer.sigma = sigma

    @property
    def multiplier(self) -> float:
        """The strength that the adapter has now."""
        return float(self.network.multiplier)

    def turn_to(self, multiplier: float) -> None:
        """At 0 the adapter is taken off: with ``dora_wd`` or ``rescaled``, LyCORIS at strength 0 is not the base."""
        if multiplier == 0 and self.network.multiplier != 0:
            self.network.restore()
        elif multiplier != 0 and self.network.multiplier == 0:
            for layer in self.network.loras:
                layer.apply_to()
        self.network.set_multiplier(multiplier)


def _name_of(path: str, config: LycorisConfig) -> str:
    """What LyCORIS calls the layer at ``path``."""
    prefix = config.raw.get("apply_preset", {}).get("lora_prefix", LycorisNetwork.LORA_PREFIX)
    return f"{prefix}_{path}".replace(".", "_")


@contextmanager
def _named_preset(preset: Mapping[str, Any]) -> Iterator[str]:
    """A name under which LyCORIS finds ``preset``, and our methods in place of its own.

    It keeps both presets and methods as globals that outlive the call: all are put back.
    """
    name = "simpletuner"
    former = {attribute: LycorisNetwork.__dict__[attribute] for attribute in _CLASS_STATE}
    methods = dict(network_module_dict)
    PRESET[name] = dict(preset)
    network_module_dict.update(_METHODS)
    try:
        yield name
    finally:
        del PRESET[name]
        network_module_dict.update(methods)
        for attribute, value in former.items():
            setattr(LycorisNetwork, attribute, value)


@contextmanager
def _quiet() -> Iterator[None]:
    """LyCORIS logs a dozen lines at every creation; what a user needs of them, the coverage report says.

    It prints for each layer that a dropout does nothing, in a branch too, where it does.
    """
    logger = logging.getLogger("LyCORIS")
    former = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(former)


def attach_lycoris(denoiser: nn.Module, config: LycorisConfig, aliases: Mapping[str, str], seed: int) -> LycorisAdapter:
    """Lay the LyCORIS network of ``config`` over ``denoiser``; its first values depend on ``seed`` alone.

    ``aliases`` maps generic class names of a preset to the model's own. Raises ConfigError when a target matches
    nothing, or a layer cannot be adapted as asked.
    """
    preset = resolve_preset(config.raw.get("apply_preset", {}), aliases)
    modules = dict(denoiser.named_modules())
    require_matches(preset, module_classes(denoiser))
    require_name_matches(preset, modules)
    own = select_layers(places(denoiser), preset)
    layers = {path: settled(path, modules[path], changes, config.raw) for path, changes in own.items()}
    network = _network(denoiser, config, by_path(preset, layers), seed)
    network.requires_grad_(requires_grad=True)
    return LycorisAdapter(network, {path: {**config.raw, **settings} for path, settings in layers.items()}, config)


def _network(denoiser: nn.Module, config: LycorisConfig, preset: Mapping[str, Any], seed: int) -> LycorisNetwork:
    options = {key: value for key, value in config.raw.items() if key != "apply_preset"}
    with _quiet(), _named_preset(preset) as name, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            network = create_lycoris(denoiser, preset=name, **options)
        except (AssertionError, ValueError) as error:
            cure = "a larger linear_dim, or leave such layers out with exclude_name"
            raise ConfigError(f"LyCORIS cannot lay {config.algo}: {error}", key="algo", cure=cure) from error
        _require_layers(network)
        network.apply_to()
    schedule = RankSchedule(config.tlora_min_rank or 1, config.tlora_alpha or 1.0)
    for layer in network.loras:
        if isinstance(layer, RowRanks):
            layer.schedule = schedule
    return network


def _require_layers(network: LycorisNetwork) -> None:
    if not network.loras:
        raise ConfigError(
            "the LyCORIS preset matches no layer: nothing would be trained",
            key="apply_preset",
            cure='for example "target_module": ["Attention", "FeedForward"]',
        )
