from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from simpletuner.core.events import StageProgress
from simpletuner.data.cache import TensorStore
from simpletuner.data.tokens import fill_tokens, read_or_tokenize, read_tokens


class Bytes:
    """A real small tokenizer: one id a byte. Counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, text: str) -> list[int]:
        self.calls += 1
        return list(text.encode())


def test_each_distinct_caption_is_tokenized_once(tmp_path: Path, heard: Any) -> None:
    store, tokenize = TensorStore(tmp_path), Bytes()
    keys = fill_tokens(["a cat", "赤", "a cat", ""], store, tokenize, "bytes", heard)
    assert tokenize.calls == 3
    assert set(keys) == {"a cat", "赤", ""}
    for text, key in keys.items():
        ids = read_tokens(store, key)
        assert ids is not None
        assert (ids.dtype, ids.tolist()) == (torch.int64, list(text.encode()))
    assert heard == [StageProgress("init_text_embed_cache", "text embedding progress", 3, 3)]


def test_a_second_start_tokenizes_nothing_and_another_tokenizer_everything(tmp_path: Path, heard: Any) -> None:
    store, tokenize = TensorStore(tmp_path), Bytes()
    first = fill_tokens(["a", "b"], store, tokenize, "bytes", heard)
    assert fill_tokens(["a", "b"], store, tokenize, "bytes", heard) == first
    assert tokenize.calls == 2
    assert set(fill_tokens(["a", "b"], store, tokenize, "other", heard).values()).isdisjoint(first.values())
    assert tokenize.calls == 4


def test_a_damaged_entry_is_made_again(tmp_path: Path, heard: Any) -> None:
    store, tokenize = TensorStore(tmp_path), Bytes()
    (key,) = fill_tokens(["cat"], store, tokenize, "bytes", heard).values()
    store.path(key).write_bytes(b"")
    assert read_tokens(store, key) is None
    assert read_or_tokenize(store, key, "cat", tokenize).tolist() == list(b"cat")
    assert read_tokens(store, key) is not None
