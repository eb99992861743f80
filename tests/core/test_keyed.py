"""Keyed randomness depends on its parts and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from simpletuner.core.keyed import derive_seed, keyed_random
from simpletuner.core.samples import SampleId

PARTS = st.lists(st.text(st.characters(exclude_characters="\x1f"), max_size=8), min_size=1, max_size=4)


@given(PARTS, PARTS)
def test_other_parts_give_another_seed(first: list[str], second: list[str]) -> None:
    assert (derive_seed(*first) == derive_seed(*second)) == (first == second)


def test_a_seed_is_the_same_in_every_process_and_fits_63_bits() -> None:
    assert derive_seed(42, SampleId("a", "b.png"), 0, "noise") == 501446820564109638
    assert all(derive_seed(number) < 2**63 for number in range(100))


def test_streams_are_keyed() -> None:
    assert keyed_random(1, "x").random() == keyed_random(1, "x").random()
    assert keyed_random(1, "x").random() != keyed_random(2, "x").random()
