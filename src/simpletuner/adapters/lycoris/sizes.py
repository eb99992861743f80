"""The tensors that LyCORIS trains for one linear layer, by their shapes. No torch here; tests hold them to LyCORIS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from simpletuner.adapters.lokr.size import split

Shape = tuple[int, ...]
Shapes = tuple[Shape, ...]
# What LyCORIS takes where the file says nothing.
_DIM = 4
_FACTOR = -1


def tensor_shapes(out_features: int, in_features: int, settings: Mapping[str, Any]) -> Shapes | None:
    """The trained tensors of a layer under ``settings`` (``algo``, ``dim``, ``factor`` ...); None for other methods.

    A weight decomposition adds the lengths of the rows, or of the columns unless ``wd_on_output``.
    """
    count = _METHODS.get(str(settings.get("algo", "lora")))
    if count is None:
        return None
    found = count(out_features, in_features, settings)
    if settings.get("dora_wd"):
        on_output = settings.get("wd_on_output", True)
        found = (*found, (out_features, 1) if on_output else (1, in_features))
    return (*found, ()) if settings.get("use_scalar") else found


def is_whole(out_features: int, in_features: int, settings: Mapping[str, Any]) -> bool:
    """Whether a LoKr's factors are both whole matrices, so that its alpha has no effect."""
    return settings.get("algo") == "lokr" and len(_lokr(out_features, in_features, settings)) == 2


def _rank(settings: Mapping[str, Any]) -> int:
    return int(settings.get("dim") or _DIM)


def _lora(out_features: int, in_features: int, settings: Mapping[str, Any]) -> Shapes:
    rank = _rank(settings)
    return (rank, in_features), (out_features, rank)


def _loha(out_features: int, in_features: int, settings: Mapping[str, Any]) -> Shapes:
    rank = _rank(settings)
    return ((out_features, rank), (rank, in_features)) * 2


def _full(out_features: int, in_features: int, _settings: Mapping[str, Any]) -> Shapes:
    return ((out_features, in_features),)


def _lokr(out_features: int, in_features: int, settings: Mapping[str, Any]) -> Shapes:
    """SPEC 4.4: a factor is two matrices where the rank is below half of its longer edge."""
    factor = int(settings.get("factor") or _FACTOR)
    out_sides, (in_small, in_large) = split(out_features, factor), split(in_features, factor)
    out_small, out_large = reversed(out_sides) if settings.get("unbalanced_factorization") else out_sides
    rank = int(1e9) if settings.get("full_matrix") else _rank(settings)
    small = _factor((out_small, in_small), rank if settings.get("decompose_both") else int(1e9))
    return (*small, *_factor((out_large, in_large), rank))


def _factor(shape: tuple[int, int], rank: int) -> Shapes:
    return (shape,) if rank >= max(shape) / 2 else ((shape[0], rank), (rank, shape[1]))


_METHODS: dict[str, Callable[[int, int, Mapping[str, Any]], Shapes]] = {
    "lora": _lora,
    "locon": _lora,
    "loha": _loha,
    "lokr": _lokr,
    "full": _full,
}
