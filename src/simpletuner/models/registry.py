"""Families by name: one line each."""

from __future__ import annotations

from simpletuner.models.catalogue import family_facts
from simpletuner.models.family import ModelFamily
from simpletuner.models.omnigen.family import OmniGen

_FAMILIES: dict[str, ModelFamily] = {"omnigen": OmniGen()}


def family(name: str) -> ModelFamily:
    """The family ``name``; a ConfigError lists the families when there is none of that name."""
    return _FAMILIES[family_facts(name).name]
