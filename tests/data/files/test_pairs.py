from __future__ import annotations

import pytest

from simpletuner.core.errors import DataError
from simpletuner.data.entries import Dropped
from simpletuner.data.files.pairs import Paired, pair


def with_dropped(paths: list[str], partners: list[str], *dropped: str) -> Paired:
    reasons = [Dropped(name, "the file is empty", "replace it") for name in dropped]
    return pair(paths, partners, reasons, dataset="subject", partner="masks")


def paired(paths: list[str], partners: list[str]) -> dict[str, str]:
    found = with_dropped(paths, partners)
    assert not found.left_out
    return dict(found.partners)


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


def test_a_picture_whose_partner_was_dropped_is_left_out_for_its_reason() -> None:
    found = with_dropped(["a.jpg", "b.jpg"], ["a.png"], "b.webp")
    assert found.partners == {"a.jpg": "a.png"}
    assert found.left_out == {
        "b.jpg": Dropped(
            "b.jpg", 'its partner b.webp in data set "masks": the file is empty', "replace it", cause="partner"
        )
    }
    with pytest.raises(DataError, match=r"1 pictures have no partner .*: c\.jpg"):
        with_dropped(["b.jpg", "c.jpg"], [], "b.webp")


def test_a_dropped_file_of_another_suffix_costs_nothing() -> None:
    found = with_dropped(["a.jpg", "b.jpg"], ["a.jpg", "b.png"], "a.png", "b.webp")
    assert (found.partners, found.left_out) == ({"a.jpg": "a.jpg", "b.jpg": "b.png"}, {})


def test_no_picture_takes_the_partner_of_another() -> None:
    found = with_dropped(["a.jpg", "a.png"], ["a.jpg"], "a.png")
    assert (found.partners, list(found.left_out)) == ({"a.jpg": "a.jpg"}, ["a.png"])


def test_names_that_are_no_text_are_found_among_the_dropped() -> None:
    found = with_dropped(["caf\udce9.png"], [], "caf\\udce9.png")
    assert list(found.left_out) == ["caf\udce9.png"]
    assert found.left_out["caf\udce9.png"].file == "caf\\udce9.png"


def test_two_that_fit_equally_well_are_refused() -> None:
    with pytest.raises(DataError, match="have several partners"):
        paired(["a.jpg"], ["a.png", "a.webp"])


def test_names_that_look_the_same_belong_together() -> None:
    written, composed = "cafe\u0301", "caf\u00e9"
    assert paired([f"{written}.jpg"], [f"{composed}.png"]) == {f"{written}.jpg": f"{composed}.png"}
    both = [f"{written}.png", f"{composed}.png"]
    assert paired(both, both) == dict(zip(both, both, strict=True))
    assert list(with_dropped([f"{written}.png"], [], f"{composed}.png").left_out) == [f"{written}.png"]


def test_partners_that_max_num_samples_leaves_out_are_its_doing() -> None:
    def message(limit: int | None) -> str:
        with pytest.raises(DataError, match="have no partner") as caught:
            pair(["a.png", "b.png", "c.png"], ["a.png"], (), dataset="subject", partner="masks", limit=limit)
        return caught.value.message()

    assert 'in data set "masks", of which max_num_samples uses 1: b.png, c.png' in message(1)
    assert 'take max_num_samples out of "masks"' in message(1)
    for other in (None, 2):
        assert "max_num_samples" not in message(other)
        assert "add a picture of the same relative path" in message(other)
