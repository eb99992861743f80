"""LoRA over parts of a layer that another program holds as one, for instance queries, keys and values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from simpletuner.adapters.export.layers import Layers, Leaves, method_of
from simpletuner.core.errors import ConfigError

Part = tuple[str, int]
"""The path of a part in this house and the rows that it has in the whole."""

_DOWN, _UP, _ALPHA = "lora_down.weight", "lora_up.weight", "alpha"


def fuse(layers: Mapping[str, Leaves], parts: Sequence[Part]) -> Leaves:
    """One LoRA over the whole layer that equals those of its ``parts`` in ``layers``; a part without one has none.

    Its rank is the sum of theirs. Raises ConfigError for other methods: their product over the whole is not of their
    form.
    """
    own = [(path, layers[path]) for path, _ in parts if path in layers]
    for path, leaves in own:
        if method_of(leaves) != "lora" or "dora_scale" in leaves:
            raise ConfigError(
                f"{path} is part of a fused layer there, and only a LoRA can be laid over a part",
                key="--layout",
                cure="use --layout diffusers, or --format merged --layout official",
            )
    scales = {float(leaves[_ALPHA]) / len(leaves[_DOWN]) for _, leaves in own}
    if len(scales) != 1:
        cure = "use --layout diffusers"
        raise ConfigError(f"{own[0][0]} and the parts beside it differ in alpha / rank", key="--layout", cure=cure)
    down = torch.cat([leaves[_DOWN] for _, leaves in own])
    rows = [_rows(layers.get(path), size, down.dtype) for path, size in parts]
    up = torch.block_diag(*rows).to(down.dtype)
    return {_DOWN: down.contiguous(), _UP: up.contiguous(), _ALPHA: torch.tensor(scales.pop() * len(down))}


def _rows(leaves: Leaves | None, size: int, dtype: torch.dtype) -> Tensor:
    return torch.zeros(size, 0, dtype=dtype) if leaves is None else leaves[_UP]


def split(whole: Leaves, parts: Sequence[Part], ranks: Mapping[str, int]) -> Layers:
    """:func:`fuse` backwards; ``ranks`` of the parts that have a LoRA."""
    scale = float(whole[_ALPHA]) / len(whole[_DOWN])
    layers: Layers = {}
    row = column = 0
    for path, size in parts:
        rank = ranks.get(path, 0)
        if rank:
            up, down = whole[_UP][row : row + size, column : column + rank], whole[_DOWN][column : column + rank]
            layers[path] = {_DOWN: down, _UP: up, _ALPHA: torch.tensor(scale * rank)}
        row, column = row + size, column + rank
    return layers
