"""Which weights a run starts from. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from simpletuner.config.load import LoadedRun
from simpletuner.models.facts import FamilyFacts, Flavour


@dataclass(frozen=True)
class Weights:
    """Where the model comes from: a folder or hub id, and what sampling does without a negative prompt."""

    source: str | Path
    builtin_negative: bool


def choose_weights(loaded: LoadedRun, facts: FamilyFacts) -> Weights:
    """The flavour's weights, or those that ``pretrained_model_name_or_path`` names (a flavour's name works too)."""
    model = loaded.config.model
    flavour = facts.flavour(model.model_flavour)
    named = model.pretrained_model_name_or_path
    if named is None:
        return Weights(flavour.source, flavour.builtin_negative)
    by_name: Flavour | None = facts.flavours.get(named)
    if by_name is not None and not Path(named).exists():
        return Weights(by_name.source, by_name.builtin_negative)
    return Weights(named, flavour.builtin_negative and not _is_tiny(named, facts))


def _is_tiny(named: str, facts: FamilyFacts) -> bool:
    return Path(named).resolve() == Path(facts.flavours["tiny"].source).resolve()
