"""What ``optimizer_config`` may say to each optimizer, and how it is written. No torch."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal

from simpletuner.config.lenient import as_boolean, as_integer, as_number, is_given, shown
from simpletuner.config.problems import near

Kind = Literal["number", "whole", "switch", "numbers", "text"]
Settings = Mapping[str, Kind]

# A comma between brackets belongs to a list.
_COMMA = re.compile(r",(?![^\[(]*[\])])")


def _keys(numbers: str = "", whole: str = "", switches: str = "", lists: str = "", texts: str = "") -> dict[str, Kind]:
    words: dict[Kind, str] = {
        "number": numbers,
        "whole": whole,
        "switch": switches,
        "numbers": lists,
        "text": texts,
    }
    return {key: kind for kind, text in words.items() for key in text.split()}


_ADAM = _keys("eps weight_decay", lists="betas")
_LION = _keys("weight_decay", lists="betas")
_SCHEDULE_FREE = _ADAM | _keys("r weight_lr_power", "decoupling_c", "ams_bound foreach")
_AO = _ADAM | _keys(whole="block_size", switches="amsgrad bf16_stochastic_round")
_OPTIMI = _keys("max_lr", switches="decouple_lr kahan_sum triton")
_OPTIMI_ADAM = _ADAM | _OPTIMI
_BNB = _keys(whole="min_8bit_size")
_BNB_ADAGRAD = _BNB | _keys("eps weight_decay")
_BNB_ADEMAMIX = _BNB | _ADAM | _keys("alpha", "t_alpha t_beta3")
_FUSED = _keys(switches="foreach fused")
_FOREACH = _keys(switches="foreach")
_TORCH_ADAM = _ADAM | _FUSED | _keys(switches="amsgrad")

_BY_NAME: dict[str, Settings] = {
    "adamw_bf16": _ADAM,
    "optimi-stableadamw": _OPTIMI_ADAM,
    "optimi-adamw": _OPTIMI_ADAM,
    "optimi-lion": _LION | _OPTIMI,
    "optimi-radam": _OPTIMI_ADAM | _keys(switches="decouple_wd"),
    "optimi-ranger": _OPTIMI_ADAM | _keys("alpha", "k", "decouple_wd"),
    "optimi-adan": _OPTIMI_ADAM | _keys(switches="adam_wd"),
    "optimi-adam": _OPTIMI_ADAM | _keys(switches="decouple_wd"),
    "optimi-sgd": _OPTIMI | _keys("momentum weight_decay", switches="dampening decouple_wd torch_init"),
    "soap": _ADAM
    | _keys(
        "shampoo_beta",
        "precondition_frequency max_precondition_dim",
        "merge_dims precondition_1d correct_bias normalize_gradient",
    ),
    "prodigy": _ADAM
    | _keys(
        "beta3 d0 d_coef growth_rate",
        switches="weight_decouple fixed_decay bias_correction safeguard_warmup foreach",
    ),
    "muon": _keys(
        "momentum weight_decay adamw_wd adamw_eps",
        "ns_steps",
        "weight_decouple nesterov use_adjusted_lr foreach",
        "adamw_betas",
        "ns_coeffs ns_method",
    ),
    "torch-adam": _TORCH_ADAM | _keys(switches="decoupled_weight_decay"),
    "torch-adamw": _TORCH_ADAM,
    "torch-sgd": _FUSED | _keys("momentum dampening weight_decay", switches="nesterov"),
    "torch-radam": _ADAM | _FOREACH | _keys(switches="decoupled_weight_decay"),
    "torch-nadam": _ADAM | _FOREACH | _keys("momentum_decay", switches="decoupled_weight_decay"),
    "torch-rmsprop": _FOREACH | _keys("alpha eps weight_decay momentum", switches="centered"),
    "torch-adagrad": _FUSED | _keys("lr_decay weight_decay initial_accumulator_value eps"),
    "torch-adadelta": _FOREACH | _keys("rho eps weight_decay"),
    "torch-adafactor": _FOREACH | _keys("beta2_decay d weight_decay", lists="eps"),
    "torch-adamax": _ADAM | _FOREACH,
    "torch-asgd": _FOREACH | _keys("lambd alpha t0 weight_decay"),
}
_BY_START: dict[str, Settings] = {
    "adamw_schedulefree": _SCHEDULE_FREE,
    "ao-": _AO,
    "bnb-adagrad": _BNB_ADAGRAD,
    "bnb-ademamix": _BNB_ADEMAMIX,
    "bnb-adam": _BNB | _ADAM,
    "bnb-lion": _BNB | _LION,
}


def settings_of(optimizer: str) -> Settings:
    """The keys that ``optimizer_config`` may hold for this optimizer, and the kind of each value."""
    if optimizer in _BY_NAME:
        return _BY_NAME[optimizer]
    return next(keys for start, keys in _BY_START.items() if optimizer.startswith(start))


def read_settings(optimizer: str, text: str | None) -> dict[str, Any]:
    """The values of ``optimizer_config``: ``d_coef=0.5,safeguard_warmup=true``, or a JSON object.

    Raises ValueError with a reason for the user.
    """
    known = settings_of(optimizer)
    values: dict[str, Any] = {}
    for key, value in _pairs(text).items():
        if key not in known:
            hint = near(key, known) or f"it has {', '.join(sorted(known))}"
            raise ValueError(f"{optimizer} has no setting '{key}'; {hint}")
        try:
            values[key] = _converted(known[key], value)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from None
    return values


def _pairs(text: str | None) -> dict[str, Any]:
    """The text as keys and unconverted values."""
    if text is None or not is_given(text):
        return {}
    if text.lstrip().startswith("{"):
        return _object(text)
    pairs = [word.partition("=") for word in _COMMA.split(text) if word.strip()]
    for key, equals, _ in pairs:
        if not equals or not key.strip():
            raise ValueError(f"{shown(key)} is not key=value")
    return {key.strip(): value.strip() for key, _, value in pairs}


def _object(text: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{shown(text)} is not a JSON object: {error.msg}") from None
    return found


def _converted(kind: Kind, value: Any) -> Any:
    if value is None or str(value).strip().lower() in ("none", "null"):
        return None
    match kind:
        case "number":
            return as_number(value)
        case "whole":
            return as_integer(value)
        case "switch":
            return as_boolean(value)
        case "numbers":
            return _numbers(value)
        case "text":
            return str(value)


def _numbers(value: Any) -> tuple[float | None, ...]:
    """``[0.9, 0.95]``, also written as a text."""
    if isinstance(value, str):
        value = value.strip("[]() ").split(",")
    if not isinstance(value, list):
        raise ValueError(f"{shown(value)} is not a list of numbers, such as [0.9, 0.99]")
    return tuple(_converted("number", item) for item in value)
