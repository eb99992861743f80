from __future__ import annotations

import io
import tarfile

import pytest

from simpletuner.data.sources.shard import Shard, key_of, walk_shard
from simpletuner.data.sources.tar import BrokenTar


def walked(*files: tuple[str, bytes]) -> Shard:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    shard = Shard("v")
    walk_shard(shard, "s.tar", stream, stream.seek(0, io.SEEK_END) + stream.seek(0))
    return shard


@pytest.mark.parametrize(
    ("name", "key"), [("a.jpg", "a"), ("b/a.seg.png", "b/a"), ("b.c/a.png", "b.c/a"), ("b/a", "b/a")]
)
def test_what_the_files_of_a_sample_share(name: str, key: str) -> None:
    assert key_of(name) == key


def test_only_pictures_and_texts_are_kept() -> None:
    shard = walked(("a.png", b"p"), ("a.txt", b"t"), ("a.cls", b"1"), ("a.heic", b"h"), (".b.png", b"x"))
    assert list(shard.members) == ["a.png", "a.txt", "a.heic"]


@pytest.mark.parametrize("text_first", [True, False])
def test_text_is_preferred_to_json_unless_it_is_empty(text_first: bool) -> None:
    said = b'{"caption": "json"}'
    files = [("a.txt", b"text"), ("a.json", said), ("b.txt", b" "), ("b.json", said)]
    shard = walked(*(files if text_first else reversed(files)))
    assert shard.captions == {"a": ("text",), "b": ("json",)}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", b"\xff\xfe\xfd"),
        ("a.txt", b"x" * (1 << 21)),
        ("a.json", b"[" * 100_000),
        ("a.json", b"[1]"),
        ("a.json", b"{}"),
        ("a.json", b"\xff"),
    ],
    ids=range(6),
)
def test_a_text_that_cannot_be_read_says_nothing(name: str, content: bytes) -> None:
    shard = walked((name, content), ("a.png", b"p"))
    assert shard.captions == {}
    assert "a.png" in shard.members


def test_what_was_found_before_a_break_stays() -> None:
    shard = Shard("v")
    info = tarfile.TarInfo("a.png")
    content = info.tobuf() + b"no header" * 200
    with pytest.raises(BrokenTar):
        walk_shard(shard, "s.tar", io.BytesIO(content), len(content))
    assert list(shard.members) == ["a.png"]
