"""Captions as token ids, cached like pictures are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from simpletuner.core.events import Emit, StageProgress
from simpletuner.data.cache.keys import TOKEN_VERSION, token_key
from simpletuner.data.cache.store import TensorStore

Tokenize = Callable[[str, int], list[int]]
"""A caption and the number of its input pictures to ids."""

_IDS = "ids"
_REPORT_EVERY = 500


class Caption(NamedTuple):
    """A caption, and how many input pictures stand in it: other ids for each number."""

    text: str
    pictures: int = 0

    def key(self, fingerprint: str) -> str:
        """Where its ids belong; ``fingerprint`` names the tokenizer."""
        return token_key(self.text, fingerprint, self.pictures)


def fill_tokens(
    captions: Iterable[Caption], store: TensorStore, tokenize: Tokenize, fingerprint: str, emit: Emit
) -> dict[Caption, str]:
    """Tokenize each distinct caption that has no entry; return caption to key. ``fingerprint`` names the tokenizer.

    An entry that is there is not opened: damage is found, and mended, by :func:`read_or_tokenize`.
    """
    keys = {caption: caption.key(fingerprint) for caption in sorted(set(captions))}
    there = store.keys()
    missing = [caption for caption in keys if keys[caption] not in there]
    for done, caption in enumerate(missing, len(keys) - len(missing) + 1):
        _make(store, keys[caption], caption, tokenize)
        if done % _REPORT_EVERY == 0 and done < len(keys):
            emit(StageProgress("init_text_embed_cache", "text embedding progress", done, len(keys)))
    if keys:
        emit(StageProgress("init_text_embed_cache", "text embedding progress", len(keys), len(keys)))
    return keys


def read_or_tokenize(
    store: TensorStore, key: str, caption: Caption, tokenize: Tokenize, *, keep: bool = True
) -> Tensor:
    """One caption's ids, 1-D int64; from the store where it has them, else made, and stored if ``keep``."""
    found = read_tokens(store, key)
    return found if found is not None else _make(store, key, caption, tokenize, keep=keep)


def read_tokens(store: TensorStore, key: str) -> Tensor | None:
    """One caption's ids, 1-D int64, or None for a miss."""
    entry = store.read(key)
    return None if entry is None else entry[_IDS]


def _make(store: TensorStore, key: str, caption: Caption, tokenize: Tokenize, *, keep: bool = True) -> Tensor:
    ids = torch.tensor(tokenize(*caption), dtype=torch.int64)
    if keep:
        store.write(key, {_IDS: ids}, {"text": caption.text, "version": str(TOKEN_VERSION)})
    return ids
