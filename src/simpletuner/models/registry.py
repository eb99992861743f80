"""Families by name: one line each."""

from __future__ import annotations

from simpletuner.models.catalogue import family_facts
from simpletuner.models.family import ModelFamily
from simpletuner.models.official import OfficialLayout
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.official import OmniGenOfficial

_FAMILIES: dict[str, ModelFamily] = {"omnigen": OmniGen()}
_OFFICIAL: dict[str, OfficialLayout] = {"omnigen": OmniGenOfficial()}


def family(name: str) -> ModelFamily:
    """The family ``name``; a ConfigError lists the families when there is none of that name."""
    return _FAMILIES[family_facts(name).name]


def official_layout(name: str) -> OfficialLayout:
    """How the official package of the family ``name`` keeps its model."""
    return _OFFICIAL[family_facts(name).name]
