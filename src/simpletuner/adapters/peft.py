"""The only door to PEFT: standard LoRA."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, inject_adapter_in_model, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from simpletuner.adapters.base import Adapter, require_fit
from simpletuner.adapters.targets import LoraSettings, lora_paths
from simpletuner.core.errors import DataError
from simpletuner.core.keyed import derive_seed
from simpletuner.core.linears import LinearShape

# What diffusers calls the denoiser of a pipeline, in the keys of an adapter file and in those of its metadata.
_COMPONENT = "transformer"
# Under this key diffusers' loaders look for the LoraConfig.
_METADATA = "lora_adapter_metadata"
# PEFT's name for an adapter that was given none.
_NAME = "default"


class PeftAdapter(Adapter):
    """LoRA layers that PEFT put into a denoiser. The trained factors are shared: they are named in both modules."""

    def __init__(self, layers: Mapping[str, LoraLayer], metadata: Mapping[str, str]) -> None:
        """``layers`` are PEFT's, by dotted path in the denoiser; ``metadata`` is for the adapter file."""
        super().__init__()
        # In a plain dict, because each of PEFT's layers holds the frozen one that it replaced.
        self._layers = dict(layers)
        self._metadata = dict(metadata)
        self._multiplier = 1.0
        parts = (part for layer in layers.values() for part in (layer.lora_A, layer.lora_B, layer.lora_dropout))
        self.parts = nn.ModuleList(part[_NAME] for part in parts)

    def tensors(self) -> dict[str, Tensor]:
        """Public names (``transformer.layers.0.self_attn.to_q.lora_A.weight``) to tensors, as diffusers reads them."""
        return {name: parameter.detach() for name, parameter in self._factors().items()}

    def _factors(self) -> dict[str, nn.Parameter]:
        return {
            f"{_COMPONENT}.{path}.{name}.weight": factors[_NAME].weight
            for path, layer in self._layers.items()
            for name, factors in (("lora_A", layer.lora_A), ("lora_B", layer.lora_B))
        }

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the values of ``tensors``; the names and shapes must be exactly this adapter's. Raises DataError."""
        own = self._factors()
        require_fit(own, tensors, "lora_rank and peft_lora_target_modules")
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(tensors[name])

    def metadata(self) -> dict[str, str]:
        """What the adapter file says of itself: PEFT's configuration, as diffusers has it, and the adapted classes."""
        return dict(self._metadata)

    def parameters_by_path(self) -> dict[str, int]:
        """The dotted path of each adapted layer to its number of trainable values."""
        return {
            path: layer.lora_A[_NAME].weight.numel() + layer.lora_B[_NAME].weight.numel()
            for path, layer in self._layers.items()
        }

    @property
    def multiplier(self) -> float:
        """The strength that the adapter has now."""
        return float(self._multiplier)

    def turn_to(self, multiplier: float) -> None:
        """At 0 the base layers run alone. PEFT's switch also changes what is trained, which is put back."""
        trained = [(parameter, parameter.requires_grad) for parameter in self.parameters()]
        for layer in self._layers.values():
            layer.enable_adapters(multiplier != 0)
            layer.set_scale(_NAME, multiplier)
        for parameter, is_trained in trained:
            parameter.requires_grad_(is_trained)
        self._multiplier = multiplier


def attach_lora(
    denoiser: nn.Module, settings: LoraSettings, aliases: Mapping[str, str], shapes: Sequence[LinearShape], seed: int
) -> PeftAdapter:
    """Lay a LoRA over the layers of ``denoiser`` that ``settings`` mean; its first values depend on ``seed`` alone.

    ``shapes`` are the layers that may be adapted; ``aliases`` maps generic class names to the model's own. The factors
    are fp32, on the CPU. Raises ConfigError when a target means no layer.
    """
    paths = lora_paths(settings.targets, shapes, aliases)
    alpha = settings.alpha
    config = LoraConfig(
        r=settings.rank,
        # The library has whole numbers; a reader of the file may count on it.
        lora_alpha=int(alpha) if float(alpha).is_integer() else alpha,
        lora_dropout=settings.dropout,
        target_modules=list(paths),
    )
    # Without values: PEFT puts an adapter where the layer's weight is, and a quantised layer may show one that has
    # a shape only.
    inject_adapter_in_model(config, denoiser, low_cpu_mem_usage=True)
    layers = {path: denoiser.get_submodule(path) for path in paths}
    for path, layer in layers.items():
        _give_first_values(layer, derive_seed(seed, path))
    classes = sorted({shape.inside[-1] for shape in shapes if shape.path in layers})
    return PeftAdapter(layers, _described(config) | {"resolved_classes": ",".join(classes)})


def _give_first_values(layer: Any, seed: int) -> None:
    """A as PEFT draws it, uniform, and B zero: the adapter begins as the base model."""
    down, up = (factors[_NAME].to_empty(device="cpu") for factors in (layer.lora_A, layer.lora_B))
    nn.init.kaiming_uniform_(down.weight, a=math.sqrt(5), generator=torch.Generator().manual_seed(seed))
    nn.init.zeros_(up.weight)


def _described(config: LoraConfig) -> dict[str, str]:
    """``config`` in the convention of diffusers, from which ``LoraConfig`` can be made again.

    What the library would assume anyway is left out: another version of it refuses keys that it does not know.
    """
    usual = LoraConfig().to_dict()
    own = {key: value for key, value in config.to_dict().items() if value != usual[key]}
    own |= {"r": config.r, "lora_alpha": config.lora_alpha, "target_modules": sorted(config.target_modules or ())}
    prefixed = {f"{_COMPONENT}.{key}": value for key, value in own.items()}
    return {_METADATA: json.dumps(prefixed, indent=2, sort_keys=True)}


def read_folder(denoiser: nn.Module, folder: Path) -> None:
    """Lay the adapter in ``folder``, PEFT's own layout, over ``denoiser``, as a user of PEFT does."""
    PeftModel.from_pretrained(denoiser, str(folder), low_cpu_mem_usage=False)


def read_file(denoiser: nn.Module, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Lay the LoRA of a file of diffusers over ``denoiser``, in the steps of diffusers' loader.

    Raises DataError for a tensor that it would leave out.
    """
    described: dict[str, Any] = json.loads(metadata[_METADATA])
    config = LoraConfig(**{key.removeprefix(f"{_COMPONENT}."): value for key, value in described.items()})
    inject_adapter_in_model(config, denoiser)
    inner = {name.removeprefix(f"{_COMPONENT}."): tensor for name, tensor in tensors.items()}
    if ignored := set_peft_model_state_dict(denoiser, inner).unexpected_keys:
        raise DataError(f"{ignored[0]} is the name of no layer: diffusers would ignore it")
