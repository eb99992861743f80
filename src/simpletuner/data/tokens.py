"""Captions as token ids, cached like pictures are."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from simpletuner.core.events import Emit, StageProgress
from simpletuner.data.cache import TensorStore
from simpletuner.data.keys import token_key

Tokenize = Callable[[str], list[int]]

_IDS = "ids"
_REPORT_EVERY = 500


def fill_tokens(
    texts: Iterable[str], store: TensorStore, tokenize: Tokenize, fingerprint: str, emit: Emit
) -> dict[str, str]:
    """Tokenize each distinct text that has no sound entry; return text to key. ``fingerprint`` names the tokenizer."""
    distinct = sorted(set(texts))
    keys: dict[str, str] = {}
    for text in distinct:
        keys[text] = token_key(text, fingerprint)
        read_or_tokenize(store, keys[text], text, tokenize)
        if len(keys) % _REPORT_EVERY == 0 or len(keys) == len(distinct):
            emit(StageProgress("init_text_embed_cache", "text embedding progress", len(keys), len(distinct)))
    return keys


def read_or_tokenize(store: TensorStore, key: str, text: str, tokenize: Tokenize) -> Tensor:
    """One caption's ids, 1-D int64; from the store where it has them, else made and stored."""
    found = read_tokens(store, key)
    if found is not None:
        return found
    ids = torch.tensor(tokenize(text), dtype=torch.int64)
    store.write(key, {_IDS: ids}, {"text": text})
    return ids


def read_tokens(store: TensorStore, key: str) -> Tensor | None:
    """One caption's ids, 1-D int64, or None for a miss."""
    entry = store.read(key)
    return None if entry is None else entry.get(_IDS)
