"""OmniGen's tokenizer behind the text protocol."""

from __future__ import annotations

import hashlib
import inspect

from diffusers.pipelines.omnigen.processor_omnigen import OmniGenMultiModalProcessor
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase

from simpletuner.models.loading import load_pretrained
from simpletuner.models.omnigen.prompt import tokenize, tokenize_with_pictures
from simpletuner.models.omnigen.template import UNCONDITIONAL, instruction, pictures_alone, with_pictures
from simpletuner.models.source import Source


def reference_negative() -> str:
    """The negative text that diffusers' OmniGen pipeline always guides away from, read off the library itself."""
    parameter = inspect.signature(OmniGenMultiModalProcessor.__call__).parameters["negative_prompt"]
    return str(parameter.default)


class OmniGenText:
    """Prompts to OmniGen's own token ids."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, builtin_negative: bool) -> None:
        """``builtin_negative``: without a negative prompt, sampling guides away from the references' text."""
        self._tokenizer = tokenizer
        self._default_negative = reference_negative() if builtin_negative else UNCONDITIONAL

    def fingerprint(self) -> str:
        """Hash of the whole tokenizer (merges and normaliser too) and of the template."""
        rules = self._tokenizer.backend_tokenizer.to_str()
        return hashlib.sha256(f"{rules}\n{instruction('{}')}".encode()).hexdigest()[:32]

    def tokenize(self, prompt: str, pictures: int = 0) -> Tensor:
        """Ids (L,) int64 of the whole instruction; with ``pictures``, -k stands for the k-th input picture.

        Pictures that the prompt does not name stand before its words, as in the official examples. Raises DataError
        when it names others, or only some of them.
        """
        if not pictures:
            return tokenize(self._tokenizer, prompt)
        return tokenize_with_pictures(self._tokenizer, with_pictures(prompt, pictures), pictures)

    def pictures_alone(self, pictures: int) -> Tensor:
        """Ids of the instruction that holds ``pictures`` and no words; image guidance starts from it."""
        return self.tokenize(pictures_alone(pictures), pictures)

    def unconditional(self) -> Tensor:
        """Ids of the instruction ``<cfg>``."""
        return self.tokenize(UNCONDITIONAL)

    def negative(self, prompt: str | None) -> tuple[str, Tensor]:
        """The user's negative prompt, or the flavour's own, as text and ids."""
        text = prompt or self._default_negative
        return text, self.tokenize(text)


def load_text(source: Source, *, builtin_negative: bool) -> OmniGenText:
    """The tokenizer of ``source``."""
    # Unless it is told no, transformers asks whoever sits there whether it may run a repository's code.
    # And without a configuration it looks for a file that no such folder has, which `hf download` cannot have fetched.
    nothing = {"trust_remote_code": False, "config": PreTrainedConfig()}
    tokenizer = load_pretrained(AutoTokenizer, source, "tokenizer", None, **nothing)
    return OmniGenText(tokenizer, builtin_negative=builtin_negative)
