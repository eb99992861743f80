"""Names of tensors as viewers look for them, and back.

ComfyUI's loader knows every layer of a model as ``diffusion_model.<path>`` and as ``lora_unet_<path>`` with underscores
for dots; kohya's scripts know the second. Both read LyCORIS's names behind it. Source: the key map of ComfyUI's
``comfy/lora.py``, and https://github.com/Comfy-Org/ComfyUI/issues/8285 for what happens to names it does not know:
they are left out, and the picture is the base model's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from torch import Tensor

from simpletuner.adapters.export.layers import Layers
from simpletuner.core.errors import DataError

Viewer = Literal["comfyui", "kohya"]


def key_map(viewer: Viewer, paths: Iterable[str]) -> dict[str, str]:
    """What ``viewer`` calls each of the model's ``paths``, to the path."""
    if viewer == "comfyui":
        return {f"diffusion_model.{path}": path for path in paths}
    return {f"lora_unet_{path.replace('.', '_')}": path for path in paths}


def named(layers: Layers, names: Mapping[str, str]) -> dict[str, Tensor]:
    """The tensors of ``layers`` under a viewer's ``names`` (name to path)."""
    by_path = {path: name for name, path in names.items()}
    return {f"{by_path[path]}.{leaf}": tensor for path, leaves in layers.items() for leaf, tensor in leaves.items()}


def unnamed(tensors: Mapping[str, Tensor], names: Mapping[str, str]) -> Layers:
    """:func:`named` backwards, by a viewer's ``names``. Raises DataError for a tensor that the viewer would ignore."""
    # A path may be the beginning of another one: the longest name wins.
    ordered = sorted(names, key=len, reverse=True)
    layers: Layers = {}
    for full, tensor in tensors.items():
        name = next((one for one in ordered if full.startswith(f"{one}.")), None)
        if name is None:
            raise DataError(f"{full} is the name of no layer: a viewer would ignore it in silence")
        layers.setdefault(names[name], {})[full.removeprefix(f"{name}.")] = tensor
    return layers
