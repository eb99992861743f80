"""Which LyCORIS network a file was trained with, from the names and shapes in it. No torch here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from simpletuner.adapters.lokr.size import LokrShape, lokr_shape
from simpletuner.core.errors import ConfigError

Shape = tuple[int, ...]
_LAYER_WIDE = ("dora_wd", "wd_on_output", "use_tucker", "constraint", "rescaled")
_HINT = "an adapter for this model has names such as lycoris_layers_0_self_attn_to_q.lokr_w1"


@dataclass(frozen=True)
class StoredLayer:
    """The tensors of one layer in a file, by LyCORIS's names: shapes, and the values of single numbers."""

    shapes: Mapping[str, Shape]
    numbers: Mapping[str, float]

    @property
    def alpha(self) -> float | None:
        """The scale's numerator, where the file has it."""
        return self.numbers.get("alpha")


def match_layers(names: Mapping[str, StoredLayer], paths: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """The prefix of a file's layer ``names``, and each name's path among ``paths``. Raises ConfigError.

    Other programs write other prefixes before the path, whose dots are underscores in a name.
    """
    flat = {path.replace(".", "_"): path for path in paths}
    prefixes = Counter(name[: -len(end) - 1] for name in names for end in flat if name.endswith(f"_{end}"))
    prefix = prefixes.most_common(1)[0][0] if prefixes else ""
    found = {name: flat[name.removeprefix(f"{prefix}_")] for name in names if name.removeprefix(f"{prefix}_") in flat}
    if missing := [name for name in names if name not in found]:
        raise ConfigError(f"{len(missing)} of its {len(names)} layers are not in this model: {missing[0]}", cure=_HINT)
    return prefix, found


def prefixed(settings: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The ``settings`` of a LyCORIS file for a network whose names begin with ``prefix``."""
    preset = settings.get("apply_preset", {})
    if preset.get("lora_prefix", "lycoris") == prefix:
        return dict(settings)
    return {**settings, "apply_preset": {**preset, "lora_prefix": prefix}}


def stored_settings(layers: Mapping[str, StoredLayer], prefix: str) -> dict[str, Any]:
    """The content of the LyCORIS file that makes a network of these layers, by path. Raises ConfigError.

    What most layers share stands at the top; the others have entries of their own.
    """
    settings = {path: _settings(path, layer) for path, layer in layers.items()}
    wide = {key: _agreed(key, settings) for key in _LAYER_WIDE}
    common = max(settings.values(), key=list(settings.values()).count)
    own = {path: each for path, each in settings.items() if each != common}
    preset = {"lora_prefix": prefix, "use_fnmatch": True, "target_name": list(settings), "name_algo_map": own}
    top = {key: value for key, value in common.items() if key not in ("dim", "alpha")}
    ranks = {"multiplier": 1.0, "linear_dim": common["dim"], "linear_alpha": common["alpha"]}
    return {**top, **ranks, **{key: value for key, value in wide.items() if value is not None}, "apply_preset": preset}


def _agreed(key: str, settings: Mapping[str, dict[str, Any]]) -> Any:
    """What all layers say of ``key``, taken out of them: LyCORIS knows one value for the whole network."""
    said = {path: each.pop(key) for path, each in settings.items() if key in each}
    if len(set(said.values())) > 1:
        first, other = (next(path for path in said if said[path] == value) for value in list(set(said.values()))[:2])
        raise ConfigError(
            f"its layers {first} and {other} differ in {key}, which LyCORIS knows for all alike",
            cure="start from a file that LyCORIS trained as one network",
        )
    return next(iter(said.values()), None)


def _settings(path: str, layer: StoredLayer) -> dict[str, Any]:
    for key, read in _READERS.items():
        if key in layer.shapes:
            return read(layer)
    kind = "a normalisation layer" if "w_norm" in layer.shapes else f"unknown tensors: {', '.join(layer.shapes)}"
    raise ConfigError(f"{path} is {kind}", cure="start from another file")


def _ranked(algo: str, layer: StoredLayer, rank: int) -> dict[str, Any]:
    return {"algo": algo, "dim": rank, "alpha": rank if layer.alpha is None else layer.alpha}


def _factored(algo: str, layer: StoredLayer, rank: int, tucker: str) -> dict[str, Any]:
    norms = layer.shapes.get("dora_scale")
    decomposed = {"dora_wd": norms is not None, "use_tucker": tucker in layer.shapes}
    return _ranked(algo, layer, rank) | decomposed | ({"wd_on_output": norms[0] != 1} if norms else {})


def _lora(layer: StoredLayer) -> dict[str, Any]:
    return _factored("lora", layer, layer.shapes["lora_down.weight"][0], "lora_mid.weight")


def _loha(layer: StoredLayer) -> dict[str, Any]:
    return _factored("loha", layer, layer.shapes["hada_w1_b"][0], "hada_t1")


def _lokr(layer: StoredLayer) -> dict[str, Any]:
    shapes = layer.shapes
    if "lokr_t2" in shapes or len(shapes.get("lokr_w2", (0, 0))) > 2:
        raise ConfigError("it holds LoKr over a convolution and does not say how it was made", cure="another file")
    w1 = _product(shapes, "lokr_w1")
    w2 = _product(shapes, "lokr_w2")
    ranks = [shapes[name][0] for name in ("lokr_w1_b", "lokr_w2_b") if name in shapes]
    whole = "lokr_w2" in shapes
    rank = ranks[0] if ranks else max(int(layer.alpha or 1), 1)
    split = _split(LokrShape(w1, w2))
    more = {"full_matrix": whole, "decompose_both": "lokr_w1_b" in shapes}
    return _factored("lokr", layer, rank, "lokr_t2") | split | more


def _product(shapes: Mapping[str, Shape], name: str) -> tuple[int, int]:
    if name in shapes:
        return shapes[name][0], shapes[name][1]
    return shapes[f"{name}_a"][0], shapes[f"{name}_b"][1]


def _split(shape: LokrShape) -> dict[str, Any]:
    """The factor that LyCORIS splits the layer with to reach ``shape``, and whether the outputs are swapped."""
    out, inside = shape.w1[0] * shape.w2[0], shape.w1[1] * shape.w2[1]
    swapped = LokrShape((shape.w2[0], shape.w1[1]), (shape.w1[0], shape.w2[1]))
    for factor in (-1, *sorted({*shape.w1, *shape.w2}, reverse=True)):
        if lokr_shape(out, inside, factor) in (shape, swapped):
            unbalanced = lokr_shape(out, inside, factor) != shape
            return {"factor": factor, "unbalanced_factorization": unbalanced}
    raise ConfigError(f"no factor splits a layer into {shape.w1} and {shape.w2}", cure="start from another file")


def _rotation(layer: StoredLayer) -> dict[str, Any]:
    blocks = layer.shapes["oft_blocks"]
    algo = "diag-oft" if len(blocks) == 3 else "boft"
    return {
        "algo": algo,
        "dim": blocks[-1],
        "alpha": 1.0,
        "constraint": layer.alpha or 0.0,
        "rescaled": "rescale" in layer.shapes,
    }


def _ia3(layer: StoredLayer) -> dict[str, Any]:
    if layer.numbers.get("on_input"):
        raise ConfigError("it scales inputs (IA3 with train_on_input): no network is made so", cure="another file")
    return {"algo": "ia3", "dim": 1, "alpha": 1.0}


_READERS: dict[str, Callable[[StoredLayer], dict[str, Any]]] = {
    "lora_down.weight": _lora,
    "hada_w1_b": _loha,
    "lokr_w1": _lokr,
    "lokr_w1_a": _lokr,
    "oft_blocks": _rotation,
    "a2.weight": lambda layer: _ranked("glora", layer, layer.shapes["a2.weight"][0]),
    "lambda_layer": lambda layer: _ranked("tlora", layer, layer.shapes["lambda_layer"][-1]),
    "on_input": _ia3,
    "diff": lambda _layer: {"algo": "full", "dim": 1, "alpha": 1.0},
}
