"""Settings of a LyCORIS file that LyCORIS 4.1 accepts and then ignores, or with which it does something else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from simpletuner.config.lenient import as_boolean, is_given
from simpletuner.config.reading.fill import Source
from simpletuner.config.reading.names import is_on
from simpletuner.core.errors import ConfigError

NORMS = "would train nothing: OmniGen's normalisations are RMSNorm, which LyCORIS does not know"

_UNREAD = "is not read by LyCORIS when it makes an adapter: it would be ignored"
UNREAD_KEYS = dict.fromkeys(("rs_lora", "rank_dropout_scale"), _UNREAD)
# What the constructors of LyCORIS's modules take for some layers alone and its network does not pass a second time.
LAYER_KEYS = frozenset("algo dim alpha factor full_matrix decompose_both unbalanced_factorization bypass_mode".split())
MAPS = ("module_algo_map", "name_algo_map")
# What LyCORIS takes when the file does not say.
DEFAULT_DIM = 4
DEFAULT_BLOCK_SIZE = 4

_LORAS = {"lora", "locon"}
_FACTORED = _LORAS | {"loha", "lokr"}
# Methods whose branch beside the layer is the same function as their new weight.
_BRANCHES = _FACTORED | {"glora", "ia3", "boft", "tlora"}
# These two scale the layer's output, and with it a bias, which their new weight leaves alone.
OUTPUT_METHODS = frozenset({"ia3", "boft"})
# Measured on lycoris-lora 4.1.3: which methods heed a setting as a branch beside the layer (True) or as a new weight.
_HEEDED = {
    ("dropout", True): _FACTORED | {"glora", "tlora"},
    ("dropout", False): set[str](),
    ("rank_dropout", True): _LORAS | {"loha"},
    ("rank_dropout", False): _FACTORED | {"full"},
    ("dora_wd", True): set[str](),
    ("dora_wd", False): _FACTORED,
    ("use_scalar", True): _FACTORED | {"glora"},
    ("use_scalar", False): _FACTORED | {"glora"},
    ("use_tucker", True): _FACTORED,
    ("use_tucker", False): _FACTORED,
}
_WRONG_RANK_DROPOUT = {
    "glora": "keeps the share that it should drop",
    "diag-oft": "drops parts of the layer itself",
}
# Settings of single methods: told when no layer is trained by one of them.
_OF_METHODS = {
    "constraint": {"diag-oft", "boft"},
    "rescaled": {"diag-oft", "boft"},
    "tlora_min_rank": {"tlora"},
    "tlora_alpha": {"tlora"},
}
# Settings that LyCORIS hands to every method and the others ignore. One changes the method of a file and keeps them.
_SPLITS = {"lokr"}
_HEEDED_BY = {
    "factor": _SPLITS,
    "full_matrix": _SPLITS,
    "decompose_both": _SPLITS,
    "unbalanced_factorization": _SPLITS,
    "block_size": {"dylora"},
}
_NO_BRANCH = {
    "diag-oft": "bypass_mode true fails with algo diag-oft in LyCORIS 4.1, but at strength 1",
    "dylora": "bypass_mode true fails with algo dylora in LyCORIS 4.1",
    "full": "algo full trains the weight itself and knows no bypass_mode",
}
_ON_WEIGHT = {
    "diag-oft": "rotates the weight itself",
    "dylora": "is added to the weight itself",
    "full": "trains a difference as large as the weight",
    "tlora": "begins with the singular vectors of the weight",
}


def runs_as_branch(settings: Mapping[str, Any]) -> bool:
    """Whether layers with these settings compute the adapter beside the layer (``bypass_mode``).

    Not given, every method does whose branch is the same function: none heeds ``dora_wd`` there, nor does LoKr
    ``rank_dropout``. See docs/decisions/0006.
    """
    if settings.get("bypass_mode") is not None:
        return bool(settings["bypass_mode"])
    if settings.get("dora_wd") or (settings["algo"] == "lokr" and settings.get("rank_dropout")):
        return False
    return settings["algo"] in _BRANCHES


def needs_dense_weight(settings: Mapping[str, Any]) -> str | None:
    """Why layers with these settings cannot be laid over a quantised layer, or None when they can.

    Over such a layer only its product with an input exists, so that the adapter has to run beside it.
    """
    algo = settings["algo"]
    if algo in _ON_WEIGHT:
        return f"algo {algo} {_ON_WEIGHT[algo]}"
    if settings.get("dora_wd"):
        return "dora_wd normalises the weight itself"
    if not runs_as_branch(settings):
        reason = "bypass_mode false" if "bypass_mode" in settings else "rank_dropout"
        return f"{reason} with algo {algo} changes the weight itself"
    return None


def quantised_problems(raw: Mapping[str, Any], source: Source) -> list[ConfigError]:
    """Why the layers of a LyCORIS file could not be trained over a quantised base."""
    told: dict[str, ConfigError] = {}
    cure = "use lokr or lora without these, or base_model_precision=no_change"
    for place, settings in _places(raw):
        if reason := needs_dense_weight(settings):
            told.setdefault(reason, source.problem(place, f"{reason}, and the base is quantised", cure))
    return list(told.values())


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
        for reason, cure in (*_conflicts(settings), *_sizes(settings)):
            told.setdefault(reason, source.problem(place, reason, cure))
    return [*told.values(), *_idle(raw, source)]


def _idle(raw: Mapping[str, Any], source: Source) -> Iterator[ConfigError]:
    used = {settings["algo"] for _, settings in _places(raw)}
    for key, methods in _OF_METHODS.items():
        if raw.get(key) and not used & methods:
            yield source.problem(key, f"is read by algo {' and '.join(sorted(methods))} alone", "remove it")


def idle_lines(raw: Mapping[str, Any]) -> tuple[str, ...]:
    """For the user, the settings of a LyCORIS file that no layer heeds, because they are for other methods."""
    places = list(_places(raw))
    reasons: dict[str, str] = {}
    for key, methods in _HEEDED_BY.items():
        asking = {settings["algo"] for _, settings in places if settings.get(key)}
        if asking and not asking & methods:
            reasons[key] = f"it is for algo {' and '.join(sorted(methods))}"
    if raw.get("wd_on_output") is not None and not raw.get("dora_wd"):
        reasons["wd_on_output"] = "dora_wd is off"
    if raw.get("decompose_both") and raw.get("full_matrix") and "decompose_both" not in reasons:
        reasons["decompose_both"] = "full_matrix keeps both factors whole"
    return tuple(f"lycoris_config: {key} is not read ({reason})" for key, reason in reasons.items())


def _places(raw: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "algo", raw
    preset = raw.get("apply_preset", {})
    for key in MAPS:
        for name, own in preset.get(key, {}).items():
            yield f"apply_preset.{key}.{name}", {**raw, **own}


def _conflicts(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    algo, branch = settings["algo"], runs_as_branch(settings)
    if branch and algo in _NO_BRANCH:
        yield _NO_BRANCH[algo], 'set "bypass_mode": false'
    if algo == "tlora" and not branch:
        yield "algo tlora masks each picture's ranks apart, which one weight for all cannot", "remove bypass_mode"
    if settings.get("rank_dropout") and algo in _WRONG_RANK_DROPOUT:
        yield f"rank_dropout with algo {algo} {_WRONG_RANK_DROPOUT[algo]} in LyCORIS 4.1", "remove it"
        return
    for key in ("dropout", "rank_dropout", "dora_wd", "use_scalar", "use_tucker"):
        if settings.get(key) and algo not in _HEEDED[key, branch]:
            other = f'set "bypass_mode": {str(not branch).lower()}' if algo in _HEEDED[key, not branch] else "remove it"
            yield f"{key} has no effect with algo {algo} and bypass_mode {str(branch).lower()}", other


def _sizes(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    rank = settings.get("dim") or settings.get("linear_dim") or DEFAULT_DIM
    block = settings.get("block_size") or DEFAULT_BLOCK_SIZE
    if settings["algo"] == "dylora" and rank % block:
        yield f"algo dylora splits the rank in blocks, and {rank} is no multiple of block_size {block}", "block_size 1"
    if settings["algo"] == "tlora" and (settings.get("tlora_min_rank") or 1) > rank:
        yield f"tlora_min_rank {settings['tlora_min_rank']} is above the rank, {rank}", "lower it"
