"""What can be known to be wrong with a run before torch is imported, which takes seconds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simpletuner.adapters.lycoris.preset import require_matches, require_name_matches, require_patterns, resolve_preset
from simpletuner.adapters.targets import lora_paths, lora_settings
from simpletuner.assemble.adapter_plan import known_shapes, plan_adapter, transformer_config
from simpletuner.assemble.weights import choose_weights
from simpletuner.config.load import LoadedRun
from simpletuner.config.problems import near
from simpletuner.config.sections.adapter import AdapterConfig
from simpletuner.core.errors import ConfigError
from simpletuner.core.linears import LinearShape
from simpletuner.models.catalogue import family_facts
from simpletuner.models.facts import FamilyFacts
from simpletuner.models.rotation import rotating
from simpletuner.validation.scores.clip_files import require_clip_name

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.\-]*/[A-Za-z0-9][\w.\-]*")
_KEY = "pretrained_model_name_or_path"
_TARGETS = "peft_lora_target_modules"
_PARTS = ("transformer/config.json", "vae/config.json", "tokenizer")


def require_possible(loaded: LoadedRun, cwd: Path) -> None:
    """Refuse weights, revisions and layers that this machine's files show not to exist. Raises ConfigError."""
    model = loaded.config.model
    facts = family_facts(model.model_family)
    source: str | Path = facts.flavour(model.model_flavour).source
    named = model.pretrained_model_name_or_path
    if named is not None:
        source = named_source(named, facts, cwd)
    choose_weights(loaded, facts)
    if loaded.lycoris is not None:
        preset = resolve_preset(loaded.lycoris.raw.get("apply_preset", {}), facts.class_aliases)
        _require_layers(preset, loaded.lycoris_file, facts, _paths(facts, source))
        _require_some(loaded, facts)
    _require_turns(loaded, facts, source)
    _require_judge(loaded, cwd)
    if model.model_type == "lora" and loaded.config.adapter.lora_type == "standard":
        _require_targets(loaded.config.adapter, loaded.place_of(_TARGETS), facts, known_shapes(source, facts))


def _require_turns(loaded: LoadedRun, facts: FamilyFacts, source: str | Path) -> None:
    """Refuse to swap more blocks than the model has; where that is not known yet, it is counted once it is."""
    swapped = loaded.config.memory.musubi_blocks_to_swap
    config = transformer_config(source, facts) if swapped else {}
    if config:
        try:
            rotating(facts.block_count(config), swapped)
        except ConfigError as error:
            raise ConfigError(error.reason, file=loaded.place_of(error.key), key=error.key, cure=error.cure) from None


def _require_judge(loaded: LoadedRun, cwd: Path) -> None:
    """Refuse a CLIP that is neither a folder with one nor a hub id."""
    asked = loaded.config.evaluation
    named = asked.pretrained_evaluation_model_name_or_path
    if asked.evaluation_type == "clip" and named is not None:
        try:
            require_clip_name(named, cwd)
        except ConfigError as error:
            raise ConfigError(error.reason, file=loaded.place_of(error.key), key=error.key, cure=error.cure) from None


def named_source(named: str, facts: FamilyFacts, cwd: Path) -> str | Path:
    """The folder or the hub id that ``named`` means; a flavour's name is that flavour's source."""
    folder = cwd / named
    if folder.exists():
        return _checked(folder)
    if named in facts.flavours:
        return facts.flavours[named].source
    if _HUB_ID.fullmatch(named):
        return named
    cure = near(named, facts.flavours) or "give the full path of a folder in diffusers layout, or a hub id owner/name"
    raise ConfigError(f"there is no folder '{named}'", key=_KEY, cure=cure)


def _checked(folder: Path) -> Path:
    missing = [part for part in _PARTS if not (folder / part).exists()]
    if missing:
        raise ConfigError(
            f"'{folder}' lacks {', '.join(missing)}",
            key=_KEY,
            cure="give a folder in diffusers layout: transformer/, vae/, tokenizer/, scheduler/",
        )
    return folder


def _require_layers(preset: Mapping[str, Any], file: Path | None, facts: FamilyFacts, paths: Sequence[str]) -> None:
    """Refuse classes and patterns that fit nothing; ``file`` is for messages, and without ``paths`` any name may."""
    try:
        require_matches(preset, facts.module_classes)
        require_patterns(preset)
        if paths:
            require_name_matches(preset, paths)
    except ConfigError as error:
        raise ConfigError(error.reason, file=file, key=error.key, cure=error.cure) from None


def _require_some(loaded: LoadedRun, facts: FamilyFacts) -> None:
    """Refuse a LyCORIS file that leaves no layer to adapt, where the layers are known."""
    try:
        plan = plan_adapter(loaded, facts)
    except ConfigError as error:
        raise ConfigError(error.reason, file=loaded.lycoris_file, key=error.key, cure=error.cure) from None
    if plan is not None and not plan.tensors:
        reason = "its targets without exclude_name mean no layer: nothing would be trained"
        cure = 'for example "target_module": ["Attention", "FeedForward"]'
        raise ConfigError(reason, file=loaded.lycoris_file, key="apply_preset", cure=cure)


def _require_targets(
    config: AdapterConfig, file: Path | str, facts: FamilyFacts, shapes: Sequence[LinearShape]
) -> None:
    """Refuse names that mean no layer; ``file`` is for messages, and without ``shapes`` any name may."""
    try:
        settings = lora_settings(config)
        if shapes:
            lora_paths(settings.targets, shapes, facts.class_aliases)
    except ConfigError as error:
        raise ConfigError(error.reason, file=file, key=error.key, cure=error.cure) from None


def _paths(facts: FamilyFacts, source: str | Path) -> tuple[str, ...]:
    """The module paths of the model in a local folder; empty when they can be known only by loading it."""
    try:
        return facts.module_paths(transformer_config(source, facts))
    except (KeyError, TypeError, ValueError):
        return ()
