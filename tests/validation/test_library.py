from __future__ import annotations

from simpletuner.models.omnigen.layers import FACTS
from simpletuner.validation.library import LIBRARY
from simpletuner.validation.names import safe_nickname


def test_the_built_in_prompts_are_many_short_and_all_different() -> None:
    names = [spec.nickname for spec in LIBRARY]
    assert len(LIBRARY) == 24
    assert [safe_nickname(name) for name in names] == names
    assert max(map(len, names)) <= 20
    assert len({spec.prompt for spec in LIBRARY}) == len(set(names)) == 24


def test_they_fit_into_what_the_model_reads() -> None:
    flavour = FACTS.flavour("tiny")
    count = FACTS.count_tokens(flavour.source)
    assert count is not None
    assert max(count([spec.prompt for spec in LIBRARY])) <= FACTS.advised_tokens
