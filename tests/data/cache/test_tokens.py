from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import torch

from simpletuner.core.events import StageProgress
from simpletuner.data.cache import keys as cache_keys
from simpletuner.data.cache.keys import token_key
from simpletuner.data.cache.store import TensorStore
from simpletuner.data.cache.tokens import Caption, fill_tokens, read_or_tokenize, read_tokens


class Bytes:
    """A real small tokenizer: one id a byte and a negative one a picture. Keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, text: str, pictures: int) -> list[int]:
        self.asked.append(text)
        return [*range(-pictures, 0), *text.encode()]


def captions(*texts: str) -> list[Caption]:
    return [Caption(text) for text in texts]


@pytest.fixture
def store(tmp_path: Path) -> TensorStore:
    return TensorStore(tmp_path / "cache")


def test_each_distinct_caption_is_tokenized_once(store: TensorStore, heard: Any) -> None:
    tokenize = Bytes()
    keys = fill_tokens(captions("a cat", "赤", "a cat", ""), store, tokenize, "bytes", heard)
    assert tokenize.asked == ["", "a cat", "赤"]
    assert set(keys) == set(captions("a cat", "赤", ""))
    for (text, _), key in keys.items():
        ids = read_tokens(store, key)
        assert ids is not None
        assert (ids.dtype, ids.tolist()) == (torch.int64, list(text.encode()))
    assert heard == [StageProgress("init_text_embed_cache", "text embedding progress", 3, 3)]


def test_a_long_filling_tells_how_far_it_is(store: TensorStore, heard: Any) -> None:
    texts = [f"{number:04}" for number in range(1100)]
    fill_tokens(captions(*texts[:200]), store, Bytes(), "bytes", heard)
    heard.clear()
    fill_tokens(captions(*texts), store, Bytes(), "bytes", heard)
    assert [(event.done, event.total) for event in heard] == [(500, 1100), (1000, 1100), (1100, 1100)]
    assert fill_tokens([], store, Bytes(), "bytes", heard) == {}
    assert len(heard) == 3


def test_a_second_start_opens_no_entry(store: TensorStore, heard: Any) -> None:
    tokenize = Bytes()
    first = fill_tokens(captions("a", "b"), store, tokenize, "bytes", heard)
    for key in first.values():
        store.path(key).write_bytes(b"")
    assert fill_tokens(captions("a", "b"), store, tokenize, "bytes", heard) == first
    assert (tokenize.asked, store.damaged) == (["a", "b"], 0)


def test_a_second_start_is_fast(store: TensorStore, heard: Any) -> None:
    texts = [f"picture number {number}" for number in range(10_000)]
    for text in texts:
        path = store.path(token_key(text, "bytes"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    start = time.perf_counter()
    assert len(fill_tokens(captions(*texts), store, Bytes(), "bytes", heard)) == 10_000
    assert time.perf_counter() - start < 1.0


def test_changed_captions_are_tokenized_and_no_others(store: TensorStore, heard: Any) -> None:
    fill_tokens(captions("a", "b", "c"), store, Bytes(), "bytes", heard)
    tokenize = Bytes()
    fill_tokens(captions("a", "b, edited", "c"), store, tokenize, "bytes", heard)
    assert tokenize.asked == ["b, edited"]


def test_another_tokenizer_or_version_does_all_anew(
    store: TensorStore, heard: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fill_tokens(captions("a", "b"), store, Bytes(), "bytes", heard)
    tokenize = Bytes()
    second = fill_tokens(captions("a", "b"), store, tokenize, "other", heard)
    monkeypatch.setattr(cache_keys, "TOKEN_VERSION", 2)
    third = fill_tokens(captions("a", "b"), store, tokenize, "other", heard)
    assert tokenize.asked == ["a", "b", "a", "b"]
    assert len({*first.values(), *second.values(), *third.values()}) == 6


def test_a_damaged_entry_is_made_again_to_the_same_bytes(store: TensorStore, heard: Any) -> None:
    tokenize = Bytes()
    (key,) = fill_tokens(captions("cat"), store, tokenize, "bytes", heard).values()
    whole = store.path(key).read_bytes()
    for place in range(0, len(whole), 5):
        store.path(key).write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        assert read_or_tokenize(store, key, Caption("cat"), tokenize).tolist() == list(b"cat")
        assert store.path(key).read_bytes() == whole
    store.path(key).write_bytes(b"")
    assert read_tokens(store, key) is None


def test_without_keeping_nothing_is_written_and_what_is_there_is_read(store: TensorStore) -> None:
    tokenize, key = Bytes(), token_key("cat", "bytes")
    for _ in range(2):
        assert read_or_tokenize(store, key, Caption("cat"), tokenize, keep=False).tolist() == list(b"cat")
    assert tokenize.asked == ["cat", "cat"]
    assert not store.folder.exists()
    read_or_tokenize(store, key, Caption("cat"), tokenize)
    read_or_tokenize(store, key, Caption("cat"), tokenize, keep=False)
    assert len(tokenize.asked) == 3


def test_the_number_of_input_pictures_makes_another_entry(store: TensorStore, heard: Any) -> None:
    asked = [Caption("cat"), Caption("cat", 1), Caption("cat", 2)]
    keys = fill_tokens(asked, store, Bytes(), "bytes", heard)
    assert [read_or_tokenize(store, keys[one], one, Bytes())[0].item() for one in asked] == [99, -1, -2]
    assert keys[asked[0]] == token_key("cat", "bytes"), "what lies in caches without pictures stays in use"
    assert len(set(keys.values())) == 3
