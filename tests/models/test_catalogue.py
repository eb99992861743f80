"""Families and flavours by name, and what a wrong name is told."""

from __future__ import annotations

import pytest

from simpletuner.core.errors import ConfigError
from simpletuner.models.catalogue import family_facts


def test_v1_is_the_default_and_comes_from_the_hub() -> None:
    facts = family_facts("omnigen")
    assert facts.flavour(None) == facts.flavour("v1")
    assert facts.flavour(None).source == "Shitao/OmniGen-v1-diffusers"
    assert facts.longest_edge == 3072


def test_a_wrong_name_lists_the_right_ones() -> None:
    with pytest.raises(ConfigError, match="one of: omnigen"):
        family_facts("flux")
    with pytest.raises(ConfigError, match="one of: tiny, v1"):
        family_facts("omnigen").flavour("v2")
