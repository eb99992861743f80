from __future__ import annotations

from simpletuner.data.captions.problems import duplicate_captions


def test_captions_of_several_files_the_most_shared_first() -> None:
    captions = [
        ("a.png", ("cat", "own")),
        ("b.png", ("cat",)),
        ("c.png", ("dog", "cat")),
        ("d.png", ("dog", "ant")),
        ("e.png", ("ant",)),
    ]
    assert duplicate_captions(captions) == [
        ("cat", ("a.png", "b.png", "c.png")),
        ("ant", ("d.png", "e.png")),
        ("dog", ("c.png", "d.png")),
    ]


def test_a_caption_twice_at_one_file_is_not_shared() -> None:
    assert duplicate_captions([("a.png", ("cat", "cat")), ("b.png", ("Cat",)), ("c.png", ())]) == []
