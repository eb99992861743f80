from __future__ import annotations

import pytest

from simpletuner.core.errors import DataError
from simpletuner.data.files.pairs import pair


def paired(paths: list[str], partners: list[str]) -> dict[str, str]:
    return pair(paths, partners, dataset="subject", partner="masks")


def test_partners_share_folder_and_stem() -> None:
    assert paired(["a.jpg", "b/a.png"], ["b/a.webp", "a.png", "c.png"]) == {"a.jpg": "a.png", "b/a.png": "b/a.webp"}


def test_of_two_partners_the_one_of_the_same_suffix_is_meant() -> None:
    assert paired(["a.jpg", "a.png"], ["a.png", "a.jpg"]) == {"a.jpg": "a.jpg", "a.png": "a.png"}


def test_dots_in_names_are_part_of_the_stem() -> None:
    assert paired(["a.v2.jpg"], ["a.v2.png", "a.png"]) == {"a.v2.jpg": "a.v2.png"}


def test_a_missing_partner_is_named() -> None:
    with pytest.raises(DataError, match=r'2 pictures have no partner in data set "masks": b\.jpg, c/a\.jpg') as caught:
        paired(["a.jpg", "b.jpg", "c/a.jpg"], ["a.png", "d/a.png"])
    assert caught.value.key == "subject"


def test_many_missing_ones_are_counted() -> None:
    with pytest.raises(DataError, match=r"10 pictures .* 7\.jpg and 2 more"):
        paired([f"{number}.jpg" for number in range(10)], [])


def test_two_that_fit_equally_well_are_refused() -> None:
    with pytest.raises(DataError, match="have several partners"):
        paired(["a.jpg"], ["a.png", "a.webp"])
