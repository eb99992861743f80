"""From a caption to OmniGen's token ids, and from rows of ids and input pictures to one padded batch.

Ids, positions and masks equal diffusers' ``OmniGenMultiModalProcessor`` and the official ``omnigen`` package; rows
are padded on the left, and each row keeps its own positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from simpletuner.core.batch import Prompt
from simpletuner.core.errors import DataError
from simpletuner.models.omnigen.template import PICTURE_TAG, instruction

PAD_TOKEN_ID = 2
PICTURE_TOKEN_ID = 0
"""What the references write below the tokens of an input picture; nothing reads it."""
_BOS = 1
_PATCH = 2


def tokenize(tokenizer: PreTrainedTokenizerBase, prompt: str) -> Tensor:
    """Token ids of the whole instruction, (L,) int64, beginning with the tokenizer's ``<s>``."""
    ids = tokenizer(instruction(prompt))["input_ids"]
    return torch.tensor(ids, dtype=torch.int64)


def tokenize_with_pictures(tokenizer: PreTrainedTokenizerBase, prompt: str, count: int) -> Tensor:
    """Ids (L,) int64 of an instruction that names ``count`` pictures; -k stands for ``<|image_k|>``.

    The text between the tags is tokenized piece by piece, as the references do. Raises DataError when the tags are
    not 1 to ``count``; a picture may be named more than once.
    """
    pieces = PICTURE_TAG.split(instruction(prompt))
    numbers = [int(number) for number in pieces[1::2]]
    if set(numbers) != set(range(1, count + 1)):
        named = ", ".join(f"<|image_{number}|>" for number in sorted(set(numbers))) or "none"
        cure = "name each picture once or more as <img><|image_1|></img>, <img><|image_2|></img>, counted from 1"
        raise DataError(f"the caption has {count} input pictures and names {named}: {prompt!r}", cure=cure)
    ids: list[int] = tokenizer(pieces[0])["input_ids"]
    for number, text in zip(numbers, pieces[2::2], strict=True):
        more = tokenizer(text)["input_ids"]
        ids = [*ids, -number, *(more[1:] if more[0] == _BOS else more)]
    return torch.tensor(ids, dtype=torch.int64)


@dataclass(frozen=True)
class InputPicture:
    """Latents (4, h, w) that stand in ``row`` of a batch, from the column ``start`` to before ``stop``."""

    row: int
    start: int
    latents: Tensor

    @property
    def stop(self) -> int:
        """The column behind its last token."""
        return self.start + _tokens(self.latents)


def _tokens(latents: Tensor) -> int:
    return latents.shape[-2] * latents.shape[-1] // _PATCH**2


@dataclass(frozen=True)
class PromptBatch:
    """Rows of prompts padded on the left to one length T.

    ``ids`` (B, T) int64; ``lengths`` the true number of tokens of each row, those of ``pictures`` too.
    """

    ids: Tensor
    lengths: tuple[int, ...]
    pictures: tuple[InputPicture, ...] = ()

    @property
    def is_ragged(self) -> bool:
        """Whether any row is padded."""
        return any(length != self.ids.shape[1] for length in self.lengths)

    def valid(self) -> Tensor:
        """(B, T) bool, true where a token is not padding."""
        columns = torch.arange(self.ids.shape[1], device=self.ids.device)
        return columns >= self.padding()[:, None]

    def padding(self) -> Tensor:
        """(B,) int64 on the device, the number of padded columns at the front of each row."""
        return on_device([self.ids.shape[1] - length for length in self.lengths], self.ids.device)


def collate(prompts: Sequence[Prompt], device: torch.device) -> PromptBatch:
    """Pad rows on the left to the longest, a picture counted by its tokens."""
    rows = [_laid_out(prompt) for prompt in prompts]
    width = max(len(ids) for ids, _ in rows)
    padded = torch.full((len(prompts), width), PAD_TOKEN_ID, dtype=torch.int64)
    pictures = []
    for row, (ids, places) in enumerate(rows):
        before = width - len(ids)
        padded[row, before:] = ids
        pictures += [InputPicture(row, before + start, latents.to(device)) for start, latents in places]
    lengths = tuple(len(ids) for ids, _ in rows)
    return PromptBatch(padded.to(device, non_blocking=True), lengths, tuple(pictures))


def on_device(numbers: Sequence[int], device: torch.device) -> Tensor:
    """``numbers`` as int64 on ``device``, which is not waited for."""
    return torch.tensor(numbers, dtype=torch.int64).to(device, non_blocking=True)


def _laid_out(prompt: Prompt) -> tuple[Tensor, list[tuple[int, Tensor]]]:
    """Ids with a placeholder for every token of a picture, and where each picture starts."""
    if not prompt.pictures:
        return prompt.ids, []
    ids: list[int] = []
    places = []
    for token in prompt.ids.tolist():
        if token >= 0:
            ids.append(token)
            continue
        latents = prompt.pictures[-token - 1]
        places.append((len(ids), latents))
        ids += [PICTURE_TOKEN_ID] * _tokens(latents)
    return torch.tensor(ids, dtype=torch.int64), places


def positions(batch: PromptBatch, image_tokens: int) -> Tensor:
    """Rotary positions (B, T + 1 + N) int64: 0 on padding, then 0, 1, 2 ... over text, time and image of the row."""
    columns = torch.arange(batch.ids.shape[1] + 1 + image_tokens, device=batch.ids.device)
    return (columns - batch.padding()[:, None]).clamp(min=0)


def text_mask(batch: PromptBatch) -> Tensor:
    """(B, 1, T + 1, T + 1) bool, true where a text or time query may look: itself and what comes before, no padding.

    The tokens of an input picture see each other in both directions. A padded query sees everything, as in the
    references, so that no softmax runs over nothing.
    """
    width = batch.ids.shape[1] + 1
    causal = torch.ones(width, width, dtype=torch.bool, device=batch.ids.device).tril()
    valid = torch.nn.functional.pad(batch.valid(), (0, 1), value=True)
    allowed = (causal & valid[:, None, :]) | ~valid[:, :, None]
    for picture in batch.pictures:
        allowed[picture.row, picture.start : picture.stop, picture.start : picture.stop] = True
    return allowed[:, None]
