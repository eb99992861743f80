from __future__ import annotations

import pytest

from simpletuner.core.errors import ConfigError
from simpletuner.data.captions import CaptionSpec, captions, text_path
from simpletuner.data.entries import Refusal

TEXT = CaptionSpec("textfile")


@pytest.mark.parametrize(
    ("path", "caption"),
    [
        ("deep/a_red_car.jpg", "a red car"),
        ("v1.2_final.png", "v1.2 final"),
        ("赤い_車.webp", "赤い 車"),
        ("two\nlines.png", "two\nlines"),
        ("e\u0301_.png", "e\u0301 "),
    ],
)
def test_file_names(path: str, caption: str) -> None:
    assert captions(path, CaptionSpec("filename")) == (caption,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"one caption\n", ("one caption",)),
        (b"first\r\n\r\n  second  \r\n", ("first", "second")),
        (b"\xef\xbb\xbfwith a mark", ("with a mark",)),
        ("ütf sixteen".encode("utf-16"), ("ütf sixteen",)),
        ("赤い車".encode(), ("赤い車",)),
    ],
)
def test_text_files(text: bytes, expected: tuple[str, ...]) -> None:
    assert captions("a.png", TEXT, text) == expected


def test_a_text_file_can_be_one_caption() -> None:
    spec = CaptionSpec("textfile", split_lines=False)
    assert captions("a.png", spec, b"first\r\nsecond\r\n") == ("first\nsecond",)


@pytest.mark.parametrize(
    ("text", "reason"),
    [(None, "a.b.txt is missing"), (b" \r\n\n", "a.b.txt is empty"), (b"", "empty"), (b"caf\xe9", "not UTF-8")],
)
def test_without_a_caption_there_is_a_reason_and_a_cure(text: bytes | None, reason: str) -> None:
    found = captions("deep/a.b.png", TEXT, text)
    assert isinstance(found, Refusal)
    assert reason in found.reason
    assert found.cure


def test_the_text_file_lies_beside_the_picture() -> None:
    assert text_path("deep/a.b.png") == "deep/a.b.txt"


def test_instance_prompts() -> None:
    assert captions("a.png", CaptionSpec("instanceprompt", ("sks dog",))) == ("sks dog",)
    assert captions("a.png", CaptionSpec("instanceprompt", ("one", "two"))) == ("one", "two")


def test_an_instance_prompt_before_every_caption() -> None:
    spec = CaptionSpec("textfile", ("sks dog",), prepend=True)
    assert captions("a.png", spec, b"runs\nsleeps") == ("sks dog runs", "sks dog sleeps")
    assert isinstance(captions("a.png", spec, None), Refusal)


def test_only_the_instance_prompt_needs_no_text_file() -> None:
    spec = CaptionSpec("textfile", ("sks dog",), only=True)
    assert not spec.reads_text
    assert captions("a.png", spec, None) == ("sks dog",)


@pytest.mark.parametrize(
    "options",
    [{"strategy": "instanceprompt"}, {"prepend": True}, {"only": True}, {"only": True, "instance_prompts": ("",)}],
)
def test_an_instance_prompt_that_is_asked_for_must_be_there(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="instance_prompt"):
        CaptionSpec(**options)  # type: ignore[arg-type]
