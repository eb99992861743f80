"""Settings of a LyCORIS file that LyCORIS 4.1 accepts and then ignores, or with which a run could not be resumed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from simpletuner.config.fill import Source
from simpletuner.config.lenient import as_boolean, is_given
from simpletuner.config.names import is_on
from simpletuner.config.option import LATER
from simpletuner.core.errors import ConfigError

REFUSED_ALGOS = {
    "full": f"{LATER}: it saves differences to the weights, so that a resume would not be exact; use model_type=full",
    "dylora": f"{LATER}: what it saves cannot be loaded, so that it cannot be resumed",
    "tlora": f"{LATER}: it needs a mask for each timestep, and what it saves cannot be resumed",
}
SCALAR = "would not resume exactly: LyCORIS folds the scalar into the weights that it saves"
NORMS = "would train nothing: OmniGen's normalisations are RMSNorm, which LyCORIS does not know"

_UNREAD = "is not read by LyCORIS when it makes an adapter: it would be ignored"
UNREAD_KEYS = dict.fromkeys(("rs_lora", "rank_dropout_scale"), _UNREAD) | dict.fromkeys(
    ("tlora_min_rank", "tlora_alpha"), f"{_UNREAD}, and algo tlora {LATER}"
)
# What the constructors of LyCORIS's modules take for some layers alone and its network does not pass a second time.
LAYER_KEYS = frozenset("algo dim alpha factor full_matrix decompose_both unbalanced_factorization bypass_mode".split())
MAPS = ("module_algo_map", "name_algo_map")

# Measured on lycoris-lora 4.1.3: which methods heed a setting as a branch beside the layer (True) or as a new weight.
_HEEDED = {
    ("dropout", True): {"lora", "locon", "loha", "lokr", "glora"},
    ("dropout", False): set[str](),
    ("rank_dropout", True): {"lora", "locon", "loha", "glora"},
    ("rank_dropout", False): {"lora", "locon", "loha", "lokr", "diag-oft"},
    ("dora_wd", True): set[str](),
    ("dora_wd", False): {"lora", "locon", "loha", "lokr"},
}


def runs_as_branch(settings: Mapping[str, Any]) -> bool:
    """Whether layers with these settings compute the adapter beside the layer (``bypass_mode``).

    Not given, LoKr does, where that is the same function: a branch heeds neither ``dora_wd`` nor ``rank_dropout``.
    """
    if "bypass_mode" in settings:
        return bool(settings["bypass_mode"])
    return settings["algo"] == "lokr" and not settings.get("dora_wd") and not settings.get("rank_dropout")


def unread_problems(given: Mapping[str, Any], source: Source) -> list[ConfigError]:
    """Keys of the file that LyCORIS would not read, where they ask for something."""
    return [
        source.problem(key, reason, "remove it") for key, reason in UNREAD_KEYS.items() if _asks_for(given.get(key))
    ]


def _asks_for(value: object) -> bool:
    if not is_given(value):
        return False
    try:
        return as_boolean(value)
    except ValueError:
        return is_on(value)


def combination_problems(raw: Mapping[str, Any], source: Source) -> list[ConfigError]:
    """Settings that have no effect together, for the file as a whole and for the layers with settings of their own."""
    told: dict[str, ConfigError] = {}
    for place, settings in _places(raw):
        for reason, cure in _conflicts(settings):
            told.setdefault(reason, source.problem(place, reason, cure))
    return list(told.values())


def _places(raw: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "algo", raw
    preset = raw.get("apply_preset", {})
    for key in MAPS:
        for name, own in preset.get(key, {}).items():
            yield f"apply_preset.{key}.{name}", {**raw, **own}


def _conflicts(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    algo, branch = settings["algo"], runs_as_branch(settings)
    if algo == "diag-oft" and branch:
        yield "bypass_mode true fails with algo diag-oft in LyCORIS 4.1", 'set "bypass_mode": false'
    for key in ("dropout", "rank_dropout", "dora_wd"):
        if settings.get(key) and algo not in _HEEDED[key, branch]:
            other = f'set "bypass_mode": {str(not branch).lower()}' if algo in _HEEDED[key, not branch] else "remove it"
            yield f"{key} has no effect with algo {algo} and bypass_mode {str(branch).lower()}", other
