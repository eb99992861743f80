"""How large the adapter of a run is, before any weight is loaded. No torch here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simpletuner.adapters.lokr.planner import FactorPlan, plan_factors
from simpletuner.adapters.lycoris.preset import ClassShare, class_shares, resolve_preset, stray_lines
from simpletuner.adapters.lycoris.selection import Place, select_layers
from simpletuner.adapters.lycoris.sizes import Shapes, is_whole, tensor_shapes
from simpletuner.adapters.targets import lora_paths, lora_settings
from simpletuner.assemble.weights import choose_weights
from simpletuner.config.files.lycoris_rules import idle_lines
from simpletuner.config.load import LoadedRun
from simpletuner.config.reading.read import read_object
from simpletuner.core.linears import LinearShape
from simpletuner.models.facts import FamilyFacts

_LINEAR = "Linear"
_LIST = "ModuleList"


@dataclass(frozen=True)
class Trained:
    """What a run trains: the shapes of its tensors, and the bytes of one value."""

    tensors: Shapes
    width: int

    @property
    def parameters(self) -> int:
        """Trained values."""
        return sum(math.prod(shape) for shape in self.tensors)

    @property
    def file_bytes(self) -> int:
        """Their file, but for its header."""
        return self.parameters * self.width


@dataclass(frozen=True)
class AdapterPlan(Trained):
    """An adapter: its method, and the shares of each class of layers.

    ``factors`` are LoKr's, by class; ``alpha_is_idle`` says that both factors of every layer are whole.
    """

    method: str
    shares: tuple[ClassShare, ...]
    factors: Mapping[str, tuple[int, ...]]
    alpha_is_idle: bool = False


def transformer_config(source: str | Path, facts: FamilyFacts) -> Mapping[str, Any]:
    """The keys that say which layers the model has: from a folder, or what is known of a flavour's hub id, or none.

    Raises ConfigError when the folder's file is damaged.
    """
    for flavour in facts.flavours.values():
        if source == flavour.source and flavour.transformer:
            return flavour.transformer
    file = Path(source) / "transformer" / "config.json"
    return read_object(file) if file.is_file() else {}


def known_shapes(source: str | Path, facts: FamilyFacts) -> tuple[LinearShape, ...]:
    """The linear layers of the model's blocks; empty where they can be known only by loading it."""
    try:
        return facts.linear_shapes(transformer_config(source, facts))
    except (KeyError, TypeError, ValueError):
        return ()


def weight_shapes(loaded: LoadedRun, facts: FamilyFacts) -> Shapes:
    """The shapes of all weights of a run's model; empty where they can be known only by loading it."""
    try:
        return facts.weight_shapes(transformer_config(choose_weights(loaded, facts).source, facts))
    except (KeyError, TypeError, ValueError):
        return ()


def plan_weights(loaded: LoadedRun, facts: FamilyFacts) -> Trained | None:
    """All weights of the model, in fp32 as they are trained and saved; None where they are not known."""
    shapes = weight_shapes(loaded, facts)
    return Trained(shapes, 4) if shapes else None


def plan_adapter(loaded: LoadedRun, facts: FamilyFacts) -> AdapterPlan | None:
    """The adapter of a run; None without one, and where its layers or tensors cannot be known before it is made."""
    shapes = known_shapes(choose_weights(loaded, facts).source, facts)
    if loaded.config.model.model_type == "full" or not shapes or loaded.init_lora is not None:
        return None
    settings = _settings(loaded, shapes, facts)
    if settings is None:
        return None
    chosen = [shape for shape in shapes if shape.path in settings]
    tensors = {each.path: tensor_shapes(each.out_features, each.in_features, settings[each.path]) for each in chosen}
    if any(found is None for found in tensors.values()):
        return None
    counted = {path: sum(math.prod(shape) for shape in found or ()) for path, found in tensors.items()}
    classes = tuple(dict.fromkeys(shape.inside[-1] for shape in shapes))
    return AdapterPlan(
        method="lora" if loaded.lycoris is None else loaded.lycoris.algo,
        shares=class_shares(classes, shapes, counted),
        tensors=tuple(shape for found in tensors.values() for shape in found or ()),
        width=_width(loaded),
        factors=_factors(chosen, settings),
        alpha_is_idle=all(is_whole(each.out_features, each.in_features, settings[each.path]) for each in chosen),
    )


def stray_targets(loaded: LoadedRun, facts: FamilyFacts) -> tuple[str, ...]:
    """For the user, what the LyCORIS file adapts beside its targets, where the layers are known, and what of it
    nothing reads.
    """
    shapes = known_shapes(choose_weights(loaded, facts).source, facts)
    if loaded.lycoris is None or loaded.init_lora is not None:
        return ()
    preset = loaded.lycoris.raw.get("apply_preset", {})
    return (*idle_lines(loaded.lycoris.raw), *stray_lines(preset, facts.class_aliases, map(_place, shapes)))


def plan_lokr(loaded: LoadedRun, facts: FamilyFacts) -> tuple[FactorPlan, ...]:
    """What a LoKr of each factor would be over this run's model; none where its layers are not known."""
    shapes = known_shapes(choose_weights(loaded, facts).source, facts)
    return plan_factors(shapes) if shapes else ()


def _width(loaded: LoadedRun) -> int:
    """On a card; a CPU without bf16 keeps 4 bytes."""
    config = loaded.config
    return 2 if config.optimizer.optimizer == "adamw_bf16" and config.model.mixed_precision == "bf16" else 4


def _settings(loaded: LoadedRun, shapes: Sequence[LinearShape], facts: FamilyFacts) -> dict[str, dict[str, Any]] | None:
    """Every adapted layer's settings by its path; None where layers outside the blocks are adapted too."""
    lycoris = loaded.lycoris
    if lycoris is None:
        lora = lora_settings(loaded.config.adapter)
        return {path: {"dim": lora.rank} for path in lora_paths(lora.targets, shapes, facts.class_aliases)}
    preset = resolve_preset(lycoris.raw.get("apply_preset", {}), facts.class_aliases)
    classes = {*preset.get("target_module", ()), *preset.get("module_algo_map", {})}
    if not classes <= {name for shape in shapes for name in shape.inside}:
        return None
    outside = _outside(shapes, facts.module_paths(transformer_config(choose_weights(loaded, facts).source, facts)))
    chosen = select_layers([*outside, *(_place(shape) for shape in shapes)], preset)
    if any(place.path in chosen for place in outside):
        return None
    top = {**lycoris.raw, "dim": lycoris.linear_dim, "alpha": lycoris.linear_alpha}
    return {path: {**top, **own} for path, own in chosen.items()}


def _outside(shapes: Sequence[LinearShape], paths: Sequence[str]) -> list[Place]:
    """The modules that are no part of a block; their classes do not matter."""
    roots = {shape.path.split(".")[0] for shape in shapes}
    return [Place(path, ()) for path in paths if path.split(".")[0] not in roots]


def _place(shape: LinearShape) -> Place:
    """The modules around a layer by path and class: lists, the classes it is inside, and itself."""
    parts = shape.path.split(".")
    around = [_LIST, *shape.inside, *[_LIST] * (len(parts) - len(shape.inside) - 2), _LINEAR]
    paths = [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
    return Place(shape.path, tuple(zip(paths, around, strict=True)))


def _factors(chosen: Sequence[LinearShape], settings: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[int, ...]]:
    """LoKr's factors in each class, where there are some."""
    found: dict[str, set[int]] = {}
    for shape in chosen:
        own = settings[shape.path]
        if own.get("algo") == "lokr":
            found.setdefault(shape.inside[-1], set()).add(int(own.get("factor") or -1))
    return {name: tuple(sorted(factors)) for name, factors in found.items()}
