from __future__ import annotations

from simpletuner.data.captions.candidates import CaptionSpec
from simpletuner.data.captions.notes import caption_warnings, named_for_want, unshuffled
from simpletuner.data.captions.shuffle import ShuffleSpec

TABLE = CaptionSpec("table", fallback_to_filename=True)
ROWS = [("none.png", None, None), ("blank.png", None, (" ", "")), ("told.png", None, ("", "a cat"))]


def test_pictures_without_a_caption_in_the_table() -> None:
    assert named_for_want(ROWS, TABLE) == ("none.png", "blank.png")


def test_nothing_falls_back_where_nothing_may_or_needs_to() -> None:
    for spec in (
        CaptionSpec("table"),
        CaptionSpec("filename", fallback_to_filename=True),
        CaptionSpec("table", fallback_to_filename=True, only=True, instance_prompts=("x",)),
    ):
        assert named_for_want(ROWS, spec) == ()


def test_captions_with_nothing_to_shuffle() -> None:
    shuffle = ShuffleSpec(include_original=False, position_start=1)
    spec = CaptionSpec("textfile", instance_prompts=("x, y, z",), prepend=True, shuffle=shuffle)
    texts = [("a.png", b"a, b, c", None), ("b.png", b"a, b, c\na, b", None), ("c.png", b"", None)]
    assert unshuffled(texts, spec) == ("b.png",)
    assert unshuffled([("one_tag.png", None, None)], CaptionSpec("filename", shuffle=shuffle)) == ("one_tag.png",)


def test_nothing_is_told_where_the_original_may_stay() -> None:
    one = [("a.png", b"a", None)]
    assert unshuffled(one, CaptionSpec("textfile", shuffle=ShuffleSpec())) == ()
    assert unshuffled(one, CaptionSpec("textfile")) == ()
    asked = ShuffleSpec(include_original=False)
    assert unshuffled(one, CaptionSpec("textfile", only=True, instance_prompts=("x",), shuffle=asked)) == ()


def test_the_lines_count_and_name() -> None:
    named, plain = caption_warnings([f"{number}.png" for number in range(7)], ["bad\udcff.png"], 9)
    assert "no caption for 7 of 9 pictures" in named
    assert "0.png, 1.png, 2.png, 3.png, 4.png and 2 more;" in named
    assert "of 1 of 9 pictures" in plain
    assert "include_original is false: bad\\udcff.png;" in plain
    assert caption_warnings((), (), 9) == ()
