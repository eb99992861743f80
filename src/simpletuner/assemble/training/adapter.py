"""The adapter of a run: from options to one laid over the denoiser, and what is written of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from torch import nn

from simpletuner.adapters.base import Adapter
from simpletuner.adapters.initial import AdapterFile, lora_of, lycoris_of, read_adapter_file, start_from
from simpletuner.adapters.lycoris.adapter import LycorisAdapter, attach_lycoris
from simpletuner.adapters.lycoris.perturbed import perturb_lokr
from simpletuner.adapters.lycoris.preset import resolve_preset, resolved_classes, stray_lines
from simpletuner.adapters.lycoris.settled import places
from simpletuner.adapters.peft import attach_lora
from simpletuner.adapters.targets import lora_settings
from simpletuner.assemble.stage import Stage
from simpletuner.config.files.lycoris import LycorisConfig
from simpletuner.config.files.lycoris_rules import idle_lines
from simpletuner.config.load import LoadedRun
from simpletuner.config.reading.environment import substitute
from simpletuner.core.errors import ConfigError
from simpletuner.core.events import Notice
from simpletuner.core.keyed import derive_seed
from simpletuner.core.progress import Progress
from simpletuner.models.facts import FamilyFacts
from simpletuner.models.source import BASE_MODEL, BASE_REVISION
from simpletuner.observe.publish.shareable import scrub_of


@dataclass(frozen=True)
class Laid:
    """An adapter over the denoiser. ``settings`` are those that a resumed run must share, by flat name; ``metadata``
    goes into the adapter file; ``lycoris`` is the LyCORIS file that is written beside it.
    """

    adapter: Adapter
    settings: Mapping[str, object]
    metadata: Mapping[str, str] = field(default_factory=dict)
    lycoris: bytes | None = None


def lay_adapter(stage: Stage, denoiser: nn.Module) -> Laid:
    """The adapter that the options ask for, laid over ``denoiser``, with its first values."""
    path = stage.loaded.init_lora
    file = None if path is None else read_adapter_file(path)
    standard = stage.loaded.config.adapter.lora_type == "standard"
    laid = (_standard if standard else _lycoris)(stage, denoiser, file)
    if file is not None:
        start_from(laid.adapter, file)
    laid.adapter.narrow(stage.precision.adapter)
    return laid


def _standard(stage: Stage, denoiser: nn.Module, file: AdapterFile | None) -> Laid:
    settings = lora_settings(stage.loaded.config.adapter)
    if file is not None:
        settings, told = lora_of(file, settings)
        _tell(stage, told)
    facts = stage.family.facts
    adapter = attach_lora(
        denoiser, settings, facts.class_aliases, stage.family.linears(denoiser), derive_seed(stage.seed, "adapter")
    )
    described = {"modelspec.description": f"LoRA of rank {settings.rank} for {facts.name}"}
    return Laid(adapter, settings.by_option(), {**described, **adapter.metadata()})


def _lycoris(stage: Stage, denoiser: nn.Module, file: AdapterFile | None) -> Laid:
    own, facts = stage.loaded.lycoris, stage.family.facts
    assert own is not None
    config = own
    if file is not None:
        config, told = lycoris_of(file, own, [place.path for place in places(denoiser)])
        _tell(stage, told)
    seed = derive_seed(stage.seed, "adapter")
    try:
        adapter = attach_lycoris(denoiser, config, facts.class_aliases, seed)
    except ConfigError as error:
        shaped_by = stage.loaded.lycoris_file if file is None else file.path
        raise ConfigError(error.reason, file=shaped_by, key=error.key, cure=error.cure) from error
    _tell(stage, idle_lines(config.raw))
    _tell(stage, stray_lines(config.raw.get("apply_preset", {}), facts.class_aliases, places(denoiser)))
    _perturb(stage, adapter, denoiser, seed)
    return Laid(
        adapter,
        settings={"lycoris_config": config.raw},
        metadata=_lycoris_metadata(config, facts),
        lycoris=_lycoris_file(stage, own, config),
    )


def _perturb(stage: Stage, adapter: LycorisAdapter, denoiser: nn.Module, seed: int) -> None:
    norm = stage.loaded.config.adapter.init_lokr_norm
    if norm is not None:
        _tell(stage, perturb_lokr(adapter.layers, denoiser, norm, seed))


def _tell(stage: Stage, lines: tuple[str, ...]) -> None:
    for line in lines:
        stage.emit(Notice(line))


def _lycoris_file(stage: Stage, own: LycorisConfig, config: LycorisConfig) -> bytes:
    """The user's own file, byte for byte, unless the adapter has the shape of another."""
    assert stage.loaded.lycoris_file is not None
    if config.raw == own.raw:
        return stage.loaded.lycoris_file.read_bytes()
    return (json.dumps(config.raw, indent=2) + "\n").encode()


def _lycoris_metadata(config: LycorisConfig, facts: FamilyFacts) -> dict[str, str]:
    preset = resolve_preset(config.raw.get("apply_preset", {}), facts.class_aliases)
    return {
        "lycoris_config": json.dumps(config.raw),
        "modelspec.description": f"LyCORIS {config.algo} adapter for {facts.name}",
        "resolved_classes": ",".join(resolved_classes(preset)),
    }


def comment_at(loaded: LoadedRun, progress: Progress) -> dict[str, str]:
    """The user's comment in the ModelSpec convention, with its places filled as they are at this save."""
    comment = loaded.config.publishing.modelspec_comment
    if comment is None:
        return {}
    places = {
        "current_step": str(progress.step),
        "current_epoch": str(progress.epoch),
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return {"modelspec.comment": scrub_of(loaded)(str(substitute(comment, loaded.environ, places)))}


def _base(stage: Stage) -> dict[str, str]:
    """What the adapter goes over, where others can find it. ModelSpec has no field for it."""
    weights = stage.weights
    if weights.commit is None:
        return {}
    return {BASE_MODEL: str(weights.source), BASE_REVISION: weights.commit}


def common_metadata(stage: Stage, resolution: str) -> dict[str, str]:
    """Safetensors metadata of every adapter file in the ModelSpec convention; all values are text."""
    facts, config = stage.family.facts, stage.loaded.config
    return {
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": f"{facts.name}-{config.model.model_flavour or facts.default_flavour}/lora",
        "modelspec.implementation": "diffusers",
        # Who is given the adapter reads this; a name may come from {env:...}.
        "modelspec.title": scrub_of(stage.loaded)(config.report.tracker_run_name),
        "modelspec.resolution": resolution,
        **_base(stage),
    }
