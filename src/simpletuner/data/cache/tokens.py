"""Captions as token ids, cached like pictures are."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from simpletuner.core.events import Emit, StageProgress
from simpletuner.data.cache.keys import TOKEN_VERSION, token_key
from simpletuner.data.cache.store import TensorStore

Tokenize = Callable[[str], list[int]]

_IDS = "ids"
_REPORT_EVERY = 500


def fill_tokens(
    texts: Iterable[str], store: TensorStore, tokenize: Tokenize, fingerprint: str, emit: Emit
) -> dict[str, str]:
    """Tokenize each distinct text that has no entry; return text to key. ``fingerprint`` names the tokenizer.

    An entry that is there is not opened: damage is found, and mended, by :func:`read_or_tokenize`.
    """
    keys = {text: token_key(text, fingerprint) for text in sorted(set(texts))}
    there = store.keys()
    missing = [text for text in keys if keys[text] not in there]
    for done, text in enumerate(missing, len(keys) - len(missing) + 1):
        _make(store, keys[text], text, tokenize)
        if done % _REPORT_EVERY == 0 and done < len(keys):
            emit(StageProgress("init_text_embed_cache", "text embedding progress", done, len(keys)))
    if keys:
        emit(StageProgress("init_text_embed_cache", "text embedding progress", len(keys), len(keys)))
    return keys


def read_or_tokenize(store: TensorStore, key: str, text: str, tokenize: Tokenize, *, keep: bool = True) -> Tensor:
    """One caption's ids, 1-D int64; from the store where it has them, else made, and stored if ``keep``."""
    found = read_tokens(store, key)
    return found if found is not None else _make(store, key, text, tokenize, keep=keep)


def read_tokens(store: TensorStore, key: str) -> Tensor | None:
    """One caption's ids, 1-D int64, or None for a miss."""
    entry = store.read(key)
    return None if entry is None else entry[_IDS]


def _make(store: TensorStore, key: str, text: str, tokenize: Tokenize, *, keep: bool = True) -> Tensor:
    ids = torch.tensor(tokenize(text), dtype=torch.int64)
    if keep:
        store.write(key, {_IDS: ids}, {"text": text, "version": str(TOKEN_VERSION)})
    return ids
