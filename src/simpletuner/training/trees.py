"""Nested state taken apart: plain tensors by name, and a tree in JSON that says how they belong together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from simpletuner.training.optimizers import from_torchao
from simpletuner.training.parallel.shards import complete

_TENSOR = "tensor"


def take_apart(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """Put the tensors of ``value`` into ``tensors``, under ``name`` and below it; the rest, as JSON, is returned.

    ``value`` is made of tensors, torchao's packed ones among them, of numbers, switches, texts and None, and of lists
    and of dictionaries of them. What processes share is made whole. Raises TypeError for anything else.
    """
    if from_torchao.is_packed(value):
        parts, how = from_torchao.unpack(value)
        return {"packed": take_apart(parts, name, tensors), "how": how}
    if isinstance(value, Tensor):
        tensors[name] = complete(value).cpu().contiguous()
        return _TENSOR
    if isinstance(value, Mapping):
        return {"entries": {key: take_apart(item, f"{name}/{key}", tensors) for key, item in value.items()}}
    if isinstance(value, list | tuple):
        return {"items": [take_apart(item, f"{name}/{index}", tensors) for index, item in enumerate(value)]}
    if value is None or isinstance(value, bool | int | float | str):
        return {"value": value}
    raise TypeError(f"{name} is a {type(value).__name__}, for which there is no form in a file")


def put_together(tree: Any, name: str, tensors: Mapping[str, Tensor]) -> Any:
    """The opposite of :func:`take_apart`, with tensors of its own; a tuple comes back as a list.

    Raises KeyError when a tensor is missing.
    """
    if tree == _TENSOR:
        return tensors[name].clone()
    if "packed" in tree:
        return from_torchao.pack(put_together(tree["packed"], name, tensors), tree["how"])
    if "entries" in tree:
        return {key: put_together(item, f"{name}/{key}", tensors) for key, item in tree["entries"].items()}
    if "items" in tree:
        return [put_together(item, f"{name}/{index}", tensors) for index, item in enumerate(tree["items"])]
    return tree["value"]


def leaves(value: object, name: str) -> dict[str, Tensor]:
    """The tensors of nested state as they are, by names for messages; of those in few bits, what they are made of."""
    if from_torchao.is_packed(value):
        return leaves(from_torchao.unpack(value)[0], name)
    if isinstance(value, Tensor):
        return {name: value}
    if isinstance(value, Mapping):
        return {at: found for key, item in value.items() for at, found in leaves(item, f"{key} of {name}").items()}
    if isinstance(value, list | tuple):
        return leaves(dict(enumerate(value)), name)
    return {}
