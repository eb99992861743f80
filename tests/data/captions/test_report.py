from __future__ import annotations

import numpy as np

from simpletuner.data.captions.candidates import CaptionSpec, captions
from simpletuner.data.captions.report import CaptionReport, Yardstick, caption_report
from simpletuner.data.entries import Dropped, Refusal
from simpletuner.data.files.table import PictureTable


def table(**texts: tuple[str, ...]) -> PictureTable:
    sizes = np.full(len(texts), 64, dtype=np.int32)
    return PictureTable("set", list(texts), sizes, sizes, list(texts.values()))


def words(texts: list[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def test_lengths_are_counted_against_the_advice() -> None:
    pictures = table(a=("one",), b=("one two three", "one two"), c=("one two",))
    found = caption_report(pictures, "textfile", [], Yardstick(words, 2), written_one_by_one=True)
    assert found == CaptionReport(
        "textfile",
        duplicates=(("one two", ("b", "c")),),
        median=2,
        longest=3,
        over=(("b", 3),),
        over_count=1,
        advised=2,
        estimated=False,
    )


def test_without_a_tokenizer_they_are_estimated_and_it_says_so() -> None:
    found = caption_report(
        table(a=("four words or so",)), "filename", [], Yardstick(None, 122), written_one_by_one=False
    )
    assert found.estimated
    assert found.longest >= 4


def test_an_instance_prompt_may_be_shared() -> None:
    pictures = table(a=("a frog",), b=("a frog",))
    assert not caption_report(pictures, "x", [], Yardstick(words, 9), written_one_by_one=False).duplicates
    assert caption_report(pictures, "x", [], Yardstick(words, 9), written_one_by_one=True).duplicates


def refused(spec: CaptionSpec, text: bytes | None = None, given: tuple[str, ...] | None = None) -> Dropped:
    """What the caption room itself says, so that another wording there is seen here."""
    found = captions("a.png", spec, text, given)
    assert isinstance(found, Refusal)
    return Dropped("a.png", found.reason, found.cure, "caption")


def test_pictures_dropped_for_their_captions_are_counted_by_kind() -> None:
    text, rows = CaptionSpec("textfile"), CaptionSpec("table")
    dropped = [
        refused(text),
        refused(rows),
        refused(text, b" \n"),
        refused(rows, given=("",)),
        refused(text, b"\xff\xff"),
        Dropped("b.png", "it is missing an end", "mend it"),
    ]
    found = caption_report(table(c=("x",)), "textfile", dropped, Yardstick(words, 9), written_one_by_one=True)
    assert (found.missing, found.empty, found.unusable) == (2, 2, 1)


def test_pictures_trained_on_their_names_lack_a_caption_while_they_are_used() -> None:
    pictures = table(a=("a",), b=("b",))
    found = caption_report(
        pictures, "parquet", [], Yardstick(words, 9), written_one_by_one=True, uncaptioned=("b", "left out since")
    )
    assert found.missing == 1
