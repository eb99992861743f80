"""The tiny byte-level tokenizer: `python -m scripts.tiny.tokenizer`."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers, processors
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

from .files import TINY_MODEL, TRAIN_3D, read_json, start_logging, write_json
from .names import captions, keywords

VOCABULARY = 2048
MODEL_MAX_LENGTH = 120_000
SPECIAL_TOKENS = (
    "<unk>",
    "<s>",
    "</s>",
    "<|endoftext|>",
    "<|user|>",
    "<|end|>",
    "<|assistant|>",
    "<|diffusion|>",
    "<img>",
    "</img>",
    "<cfg>",
)
PROMPT = "<|user|>\nGenerate an image according to the following instructions\n{}<|end|>\n<|assistant|>\n<|diffusion|>"

_CORPUS = Path(__file__).with_name("corpus.txt")
_PICTURE_WEIGHT = 4
_CORPUS_WEIGHT = 12


def training_text() -> Iterator[str]:
    """Yield prompts of all captions, keywords and ordinary English.

    Captions of pictures count several times and in both forms, at the start of the prompt's line
    and within a sentence, because a leading space makes a different token.
    """
    for name in sorted(path.stem.replace("_", " ") for path in TRAIN_3D.glob("*.png")):
        yield from (PROMPT.format(name), f"a {name}, {name}") * _PICTURE_WEIGHT
    for name in sorted(captions().values()):
        yield name.replace("_", " ")
    for words in keywords().values():
        yield " ".join(word.replace("_", " ") for word in words if word.isascii())
    yield from _CORPUS.read_text(encoding="utf-8").splitlines() * _CORPUS_WEIGHT


def trained() -> Tokenizer:
    """Train byte-level BPE; ids 0 to 10 are the special tokens, then come the 256 bytes."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator((without_special_tokens(text) for text in training_text()), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A",
        pair="<s> $A $B:1",
        special_tokens=[("<s>", SPECIAL_TOKENS.index("<s>"))],
    )
    return tokenizer


def without_special_tokens(text: str) -> str:
    """Drop special tokens from training text, since the trainer would learn their spelling as words."""
    for token in SPECIAL_TOKENS:
        text = text.replace(token, "")
    return text


def save(tokenizer: Tokenizer, folder: Path) -> None:
    """Write the three files that transformers reads, the folder being replaced as a whole."""
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="</s>",
        padding_side="left",
        model_max_length=MODEL_MAX_LENGTH,
        clean_up_tokenization_spaces=False,
    )
    unfinished = folder.with_name(f".{folder.name}.part")
    fast.save_pretrained(unfinished)
    # transformers 5 writes a class name that earlier versions do not know; both know this one.
    settings = read_json(unfinished / "tokenizer_config.json") | {"tokenizer_class": "PreTrainedTokenizerFast"}
    write_json(unfinished / "tokenizer_config.json", settings)
    roles = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"}
    write_json(unfinished / "special_tokens_map.json", roles)
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.replace(folder)


def main() -> None:
    """Train the tokenizer and report how long a prompt is."""
    start_logging()
    tokenizer = trained()
    save(tokenizer, TINY_MODEL / "tokenizer")
    empty = tokenizer.encode(PROMPT.format(""))
    logging.info("%d tokens; the empty prompt is %s", tokenizer.get_vocab_size(), empty.tokens)


if __name__ == "__main__":
    main()
