"""The words of the tiny CLIP: a small byte-pair vocabulary in CLIP's form, and phrases of keywords."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from functools import lru_cache
from types import MappingProxyType

from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import CLIPTokenizer

from .clip_scores import MAX_TOKENS, caption
from .names import captions, keywords

VOCABULARY = 2000
START, END = "<|startoftext|>", "<|endoftext|>"

_WORD_END = "</w>"
_NAME_WEIGHT = 4
_PHRASE_WORDS = 3


def words_of(name: str) -> tuple[str, ...]:
    """Return the keywords of the emoji with that file name, without its name itself."""
    return _keywords_by_name().get(name, ())


def phrases(name: str, count: int, generator: random.Random) -> list[str]:
    """Draw phrases of up to three keywords; an emoji without keywords gives its name."""
    words = words_of(name) or (caption(name),)
    return [" ".join(generator.sample(words, min(_PHRASE_WORDS, len(words)))) for _ in range(count)]


def new_tokenizer() -> CLIPTokenizer:
    """Train the vocabulary: 256 bytes, the same at the end of a word, merges, start and end.

    All 512 single bytes are there because an unknown piece would become the end token, where CLIP stops reading. The
    end token has the highest id, where transformers' older rule looks for it as well.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    single = alphabet + [character + _WORD_END for character in alphabet]
    merges = _trained_merges(alphabet, VOCABULARY - len(single) - 2)
    tokens = [*single, *("".join(pair) for pair in merges), START, END]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=MAX_TOKENS)


def _trained_merges(alphabet: list[str], count: int) -> list[tuple[str, str]]:
    tokenizer = Tokenizer(BPE(end_of_word_suffix=_WORD_END))
    tokenizer.normalizer = normalizers.Lowercase()
    # CLIP's own splitting and byte alphabet, which an untrained tokenizer of its class has already.
    tokenizer.pre_tokenizer = CLIPTokenizer().backend_tokenizer.pre_tokenizer
    trainer = BpeTrainer(
        # Too many, because not every byte occurs at the end of a word and so counts here.
        vocab_size=VOCABULARY,
        initial_alphabet=alphabet,
        end_of_word_suffix=_WORD_END,
        show_progress=False,
    )
    tokenizer.train_from_iterator(_training_text(), trainer)
    merges: list[list[str]] = json.loads(tokenizer.to_str())["model"]["merges"]
    return [(left, right) for left, right in merges[:count]]


def _training_text() -> Iterator[str]:
    for name in sorted(captions().values()):
        yield from (caption(name),) * _NAME_WEIGHT
    for name in sorted(_keywords_by_name()):
        yield " ".join(words_of(name))


@lru_cache(maxsize=1)
def _keywords_by_name() -> MappingProxyType[str, tuple[str, ...]]:
    table = keywords()
    return MappingProxyType({name: _plain(table[key], name) for key, name in captions().items() if key in table})


def _plain(words: tuple[str, ...], name: str) -> tuple[str, ...]:
    spaced = (word.replace("_", " ").replace("-", " ") for word in words if word.isascii())
    return tuple(dict.fromkeys(word for word in spaced if word != caption(name).replace("-", " ")))
