"""From a caption to OmniGen's token ids, and from rows of ids to one padded batch.

Ids, positions and masks equal diffusers' ``OmniGenMultiModalProcessor`` and the official ``omnigen`` package; rows
are padded on the left, and each row keeps its own positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from simpletuner.models.omnigen.template import instruction

PAD_TOKEN_ID = 2


def tokenize(tokenizer: PreTrainedTokenizerBase, prompt: str) -> Tensor:
    """Token ids of the whole instruction, (L,) int64, beginning with the tokenizer's ``<s>``."""
    ids = tokenizer(instruction(prompt))["input_ids"]
    return torch.tensor(ids, dtype=torch.int64)


@dataclass(frozen=True)
class PromptBatch:
    """Rows of prompts padded on the left to one length T.

    ``ids`` (B, T) int64; ``lengths`` (B,) int64, the true number of tokens of each row.
    """

    ids: Tensor
    lengths: Tensor

    @property
    def is_ragged(self) -> bool:
        """Whether any row is padded. ``lengths`` lie on the CPU, so this costs no device sync."""
        return bool((self.lengths != self.ids.shape[1]).any())

    def valid(self) -> Tensor:
        """(B, T) bool, true where a token is not padding."""
        width = self.ids.shape[1]
        columns = torch.arange(width, device=self.ids.device)
        return columns >= width - self.lengths.to(self.ids.device)[:, None]


def collate(prompts: Sequence[Tensor], device: torch.device) -> PromptBatch:
    """Pad rows of ids, each (L,) int64, on the left to the longest. ``lengths`` stay on the CPU."""
    width = max(len(ids) for ids in prompts)
    padded = torch.full((len(prompts), width), PAD_TOKEN_ID, dtype=torch.int64)
    for row, ids in zip(padded, prompts, strict=True):
        row[width - len(ids) :] = ids
    lengths = torch.tensor([len(ids) for ids in prompts], dtype=torch.int64)
    return PromptBatch(ids=padded.to(device), lengths=lengths)


def positions(batch: PromptBatch, image_tokens: int) -> Tensor:
    """Rotary positions (B, T + 1 + N) int64: 0 on padding, then 0, 1, 2 ... over text, time and image of the row."""
    width = batch.ids.shape[1]
    columns = torch.arange(width + 1 + image_tokens, device=batch.ids.device)
    return (columns - (width - batch.lengths.to(batch.ids.device))[:, None]).clamp(min=0)


def text_mask(batch: PromptBatch) -> Tensor:
    """(B, 1, T + 1, T + 1) bool, true where a text or time query may look: itself and what comes before, no padding.

    A padded query sees everything, as in the references, so that no softmax runs over nothing.
    """
    width = batch.ids.shape[1] + 1
    causal = torch.ones(width, width, dtype=torch.bool, device=batch.ids.device).tril()
    valid = torch.nn.functional.pad(batch.valid(), (0, 1), value=True)
    return ((causal & valid[:, None, :]) | ~valid[:, :, None])[:, None]
