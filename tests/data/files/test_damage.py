from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.data.entries import Dropped, NoPicturesError
from simpletuner.data.files.damage import damage_of, require_few_unreadable
from simpletuner.data.sources.folder import FolderSource

BAD = tuple(Dropped(f"{number}.png", "is cut", "replace it") for number in range(7))
SMALL = Dropped("small.png", "is too small", "use a larger one", "size")


def test_only_what_cannot_be_decoded_is_damage(tmp_path: Path, pictures: Any) -> None:
    sound, bad = pictures.write(tmp_path / "sound.png", 90, 90), tmp_path / "bad.png"
    content = sound.read_bytes()
    bad.write_bytes(content[: len(content) // 2])
    source = FolderSource.at(str(tmp_path))
    dropped = [Dropped(name, "told", "cure") for name in ("sound.png", "bad.png", "gone.png")]
    ((path, (version, reason, cure)),) = damage_of(source, dropped).items()
    assert (path, version) == ("bad.png", source.version("bad.png"))
    assert "cannot be decoded" in reason
    assert cure
    assert damage_of(source, [Dropped("bad.png", "its mask is damaged", "cure", "partner")]) == {}


def require(dropped: tuple[Dropped, ...], used: int, most: float | None) -> None:
    require_few_unreadable(dropped, used, most, dataset="cats", where="/cats")


def test_too_many_unreadable_pictures_are_told_with_counts_and_reasons() -> None:
    with pytest.raises(NoPicturesError) as caught:
        require((*BAD, SMALL), 92, 5)
    text = str(caught.value)
    assert "7 of 100 pictures (7 %) cannot be read, and maximum_unreadable_percent is 5" in text
    assert "0.png: is cut" in text
    assert "4.png: is cut; and 2 more" in text
    assert "5.png" not in text
    assert "small.png" not in text
    assert caught.value.dropped == (*BAD, SMALL)


def test_the_share_itself_passes_and_so_does_anything_where_nobody_asked() -> None:
    require(BAD, 93, 7)
    require((SMALL,), 0, 0)
    require(BAD, 0, None)
    with pytest.raises(NoPicturesError, match="1 of 1000001 pictures"):
        require(BAD[:1], 1_000_000, 0)


@given(st.integers(0, 7), st.integers(0, 200), st.integers(0, 100))
def test_it_stops_exactly_above_the_share(bad: int, used: int, most: int) -> None:
    try:
        require(BAD[:bad], used, most)
        stopped = False
    except NoPicturesError:
        stopped = True
    assert stopped is (bad * 100 > most * (bad + used))
