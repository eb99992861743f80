"""The LyCORIS file: which algorithm, how large, on which layers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from simpletuner.config.files.lycoris_rules import (
    LAYER_KEYS,
    MAPS,
    NORMS,
    UNREAD_KEYS,
    combination_problems,
    unread_problems,
)
from simpletuner.config.lenient import as_boolean, is_given
from simpletuner.config.option import REQUIRED, Section, option
from simpletuner.config.problems import near, raise_all
from simpletuner.config.reading.fill import Source, fill
from simpletuner.config.reading.names import is_comment
from simpletuner.config.reading.read import read_object
from simpletuner.core.errors import ConfigError

_READ = ("adapters",)


class LycorisOptions(Section):
    """The settings of the file beside its preset; None is not given. LyCORIS gives the meaning of the rarer ones."""

    algo: Literal["lora", "locon", "loha", "lokr", "ia3", "dylora", "full", "diag-oft", "boft", "glora", "tlora"] = (
        option("lora", reads=_READ)
    )
    """The method."""
    multiplier: float = option(REQUIRED, reads=_READ, gt=0, examples=[1.0])
    """Strength of the adapter in the forward pass, 1.0 as a rule."""
    linear_dim: int | None = option(None, reads=_READ, ge=1)
    """Rank of linear layers; 10000 keeps LoKr's large factor whole."""
    linear_alpha: float = option(REQUIRED, reads=_READ, ge=0, examples=[1])
    """Scale of linear layers: the effect is alpha / rank."""
    conv_dim: int | None = option(None, reads=_READ, ge=0)
    """Rank of convolutions."""
    conv_alpha: float | None = option(None, reads=_READ, ge=0)
    """Scale of convolutions."""
    factor: int | None = option(None, reads=_READ, ge=-1)
    """How LoKr splits a dimension; -1 is as square as possible."""
    full_matrix: bool | None = option(None, reads=_READ)
    """LoKr: keep the large factor whole."""
    decompose_both: bool | None = option(None, reads=_READ)
    """LoKr: decompose the small factor too."""
    bypass_mode: bool | None = option(None, reads=_READ)
    """Compute the adapter beside the layer; the default where that is the same function."""
    dropout: float | None = option(None, reads=_READ, ge=0, lt=1)
    """Dropout of the adapter's output, of methods that run beside the layer."""
    rank_dropout: float | None = option(None, reads=_READ, ge=0, lt=1)
    """Dropout of ranks."""
    module_dropout: float | None = option(None, reads=_READ, ge=0, lt=1)
    """Dropout of whole layers' adapters."""
    use_tucker: bool | None = option(None, reads=_READ)
    """Tucker decomposition of convolutions."""
    use_scalar: bool | None = option(None, reads=_READ)
    """A trained scalar for each layer."""
    block_size: int | None = option(None, reads=_READ, ge=1)
    """Block size of DyLoRA."""
    train_norm: bool | None = option(None, reads=_READ, refused={"true": NORMS})
    """Train normalisation layers too."""
    constraint: float | None = option(None, reads=_READ, ge=0)
    """Constraint of the OFT methods."""
    rescaled: bool | None = option(None, reads=_READ)
    """Rescaled OFT."""
    dora_wd: bool | None = option(None, reads=_READ)
    """Weight decomposition (DoRA)."""
    wd_on_output: bool | None = option(None, reads=_READ)
    """Weight decomposition over outputs."""
    unbalanced_factorization: bool | None = option(None, reads=_READ)
    """LoKr: an unbalanced split."""
    tlora_min_rank: int | None = option(None, reads=_READ, ge=1)
    """T-LoRA: how many ranks are active on pure noise; 1 when not given. On a clean picture all are."""
    tlora_alpha: float | None = option(None, reads=_READ, gt=0)
    """T-LoRA: the exponent of the share of picture by which ranks join; 1.0 when not given."""


class Preset(Section):
    """Which layers are adapted, and what is particular to some of them."""

    target_module: tuple[str, ...] = ()
    """Class names; every linear layer inside such a module is adapted."""
    target_name: tuple[str, ...] = ()
    """Dotted paths or patterns."""
    module_algo_map: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Class name to settings of the layers inside it."""
    name_algo_map: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Path pattern to settings."""
    exclude_name: tuple[str, ...] = ()
    """Patterns of layers that are left alone."""
    use_fnmatch: bool = False
    """Patterns are shell wildcards, not regular expressions."""
    enable_conv: bool = True
    """Adapt convolutions too."""
    lora_prefix: str = "lycoris"
    """Prefix of stored names."""


class LycorisConfig(LycorisOptions):
    """A checked LyCORIS file. ``raw`` is its content, with values in their types, for LyCORIS and for saving."""

    apply_preset: Preset | None = None
    """The preset of the file."""
    raw: dict[str, Any] = Field(default_factory=dict)
    """What the user gave."""


_LISTS = ("target_module", "target_name", "exclude_name")
_SWITCHES = ("use_fnmatch", "enable_conv")
_PRESET = 'write { "target_module": ["Attention"] }'
_HOW = {
    **dict.fromkeys(_LISTS, 'write ["name", ...], also for one'),
    **dict.fromkeys(MAPS, f"write {{ name: {{ ... }} }} with some of {', '.join(sorted(LAYER_KEYS))}"),
}


def read_lycoris(path: Path) -> LycorisConfig:
    """The LyCORIS file ``path``. Raises ConfigError with everything that is wrong in it."""
    return parse_lycoris(read_object(path), path)


def parse_lycoris(content: Mapping[str, Any], path: Path) -> LycorisConfig:
    """The content of a LyCORIS file; ``path`` is for messages. Raises ConfigError."""
    given = {key: value for key, value in content.items() if not is_comment(key)}
    source = Source(str(path))
    options, problems = fill(LycorisOptions, _lower_algo(given), source)
    known = [*LycorisOptions.model_fields, "apply_preset"]
    problems += [_unknown(key, known, source) for key in given if key not in known and key not in UNREAD_KEYS]
    problems += unread_problems(given, source)
    preset, preset_problems = _preset(given.get("apply_preset"), source)
    problems += preset_problems
    if options is not None:
        problems += _rules(options, source)
    raise_all(problems)
    raw = {} if options is None else _given(options)
    if preset:
        raw["apply_preset"] = preset
    raise_all(combination_problems(raw, source))
    return LycorisConfig(**(raw | {"raw": raw}))


def _given(options: LycorisOptions) -> dict[str, Any]:
    return {"algo": options.algo, **options.model_dump(exclude_unset=True)}


def _lower_algo(given: Mapping[str, Any]) -> dict[str, Any]:
    algo = given.get("algo")
    return {**given, "algo": algo.strip().lower()} if isinstance(algo, str) else dict(given)


def _unknown(key: str, known: list[str], source: Source) -> ConfigError:
    return source.problem(key, "unknown key", near(key, known) or f"known keys: {', '.join(known)}")


def _rules(options: LycorisOptions, source: Source) -> list[ConfigError]:
    problems = []
    if options.linear_dim is None and not options.full_matrix:
        cure = 'add "linear_dim": 10000 (LoKr) or 64 (LoRA)'
        problems.append(source.problem("linear_dim", "is missing: the rank of linear layers", cure))
    if options.factor == 0:
        problems.append(source.problem("factor", "'0' splits nothing", "use 16, or -1 for as square as possible"))
    return problems


def _preset(given: object, source: Source) -> tuple[dict[str, Any], list[ConfigError]]:
    if not is_given(given):
        return {}, []
    if not isinstance(given, Mapping):
        return {}, [source.problem("apply_preset", "must be an object in braces: { ... }", _PRESET)]
    inside = Source(source.file, "apply_preset.")
    preset: dict[str, Any] = {}
    problems: list[ConfigError] = []
    for key, value in given.items():
        if is_comment(key):
            continue
        if key not in Preset.model_fields:
            problems.append(_unknown(key, list(Preset.model_fields), inside))
            continue
        try:
            preset[key] = _preset_value(key, value)
        except ValueError as error:
            problems.append(inside.problem(key, str(error), _HOW.get(key, "write true or false")))
    return preset, problems


def _preset_value(key: str, value: object) -> object:
    if key in _SWITCHES:
        return as_boolean(value)
    if key in _LISTS:
        if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
            raise ValueError('must be a list of names: ["Attention", "FeedForward"]')
        return value
    if key in MAPS:
        return _layer_map(value)
    return str(value)


def _layer_map(value: object) -> dict[str, dict[str, Any]]:
    if not isinstance(value, Mapping):
        raise ValueError('must be an object: {"Attention": {"factor": 16}}')
    return {name: _layer_settings(name, settings) for name, settings in value.items()}


def _layer_settings(name: str, settings: object) -> dict[str, Any]:
    if not isinstance(settings, Mapping):
        raise ValueError(f"'{name}' must hold an object of settings")
    for key in settings:
        if key not in LAYER_KEYS:
            raise ValueError(f"'{name}': {_not_for_layers(key)}")
    # LyCORIS has its own names for a layer's rank and scale; they are checked as the whole file's are.
    renamed = {"linear_dim": settings.get("dim"), "linear_alpha": settings.get("alpha", 1), "multiplier": 1.0}
    options, problems = fill(LycorisOptions, {**_lower_algo(settings), **renamed}, Source(""))
    if options is None or problems:
        raise ValueError(f"'{name}': {problems[0].message()}")
    values = options.model_dump(exclude_unset=True) | {"dim": options.linear_dim, "alpha": options.linear_alpha}
    return {key: values[key] for key in settings}


def _not_for_layers(key: str) -> str:
    if key in UNREAD_KEYS:
        return f"'{key}' {UNREAD_KEYS[key]}; remove it"
    if hint := {"linear_dim": "did you mean 'dim'?", "linear_alpha": "did you mean 'alpha'?"}.get(key):
        return f"unknown setting '{key}'; {hint}"
    if key in LycorisOptions.model_fields:
        return f"'{key}' cannot be set for some layers only; set it for the whole file"
    return f"unknown setting '{key}'; {near(key, LAYER_KEYS) or 'remove it'}"
