"""What is known of every family without loading torch: flavours, class names, layer shapes."""

from __future__ import annotations

from simpletuner.core.errors import ConfigError
from simpletuner.models.facts import FamilyFacts
from simpletuner.models.omnigen.layers import FACTS as OMNIGEN

_FACTS = {facts.name: facts for facts in (OMNIGEN,)}


def family_facts(name: str) -> FamilyFacts:
    """The facts of the family ``name``; a ConfigError lists the families when there is none of that name."""
    if name not in _FACTS:
        raise ConfigError(f"unknown family '{name}'", key="model_family", cure=f"one of: {', '.join(sorted(_FACTS))}")
    return _FACTS[name]
