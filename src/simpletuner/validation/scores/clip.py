"""A CLIP that judges pictures: the one door to transformers outside of the model families."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from huggingface_hub.errors import StrictDataclassError
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor
from torch.nn.functional import normalize
from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer
from transformers.utils import logging as transformers_logging

from simpletuner.core.errors import ConfigError
from simpletuner.core.memory import first_line, give_back, is_exhausted
from simpletuner.validation.scores.clip_files import KEY

_AT_ONCE = 16
_T = TypeVar("_T")


class Eyes(Protocol):
    """What tells how much two pictures are alike."""

    def pictures(self, images: Iterable[Image.Image]) -> Tensor:
        """Unit vectors (N, d) float32 on the CPU of RGB pictures; alike ones point the same way."""
        ...


@dataclass(frozen=True)
class Clip:
    """A network on its device, and how it takes pictures and words (Radford et al. 2021, arXiv 2103.00020)."""

    model: Any
    processor: Any
    tokenizer: Any

    @torch.no_grad()
    def pictures(self, images: Iterable[Image.Image]) -> Tensor:
        """Unit vectors (N, d) float32 on the CPU of RGB pictures of any size, scaled and cropped as CLIP has them."""
        return _joined(self._pictures(some) for some in _some(images))

    def _pictures(self, images: Sequence[Image.Image]) -> Tensor:
        pixels = self.processor(images=list(images), return_tensors="pt")["pixel_values"]
        pooled = self.model.vision_model(pixel_values=pixels.to(self.model.device)).pooler_output
        return normalize(self.model.visual_projection(pooled).float(), dim=-1).cpu()

    @torch.no_grad()
    def prompts(self, texts: Iterable[str]) -> Tensor:
        """Unit vectors (N, d) float32 on the CPU of texts; what is longer than CLIP reads (77 tokens) is cut."""
        return _joined(self._prompts(some) for some in _some(texts))

    def _prompts(self, texts: Sequence[str]) -> Tensor:
        longest = self.model.config.text_config.max_position_embeddings
        told = self.tokenizer(list(texts), padding=True, truncation=True, max_length=longest, return_tensors="pt")
        pooled = self.model.text_model(**told.to(self.model.device)).pooler_output
        return normalize(self.model.text_projection(pooled).float(), dim=-1).cpu()


@contextmanager
def clip_on(folder: Path, device: torch.device) -> Iterator[Clip]:
    """The CLIP of ``folder`` on ``device``, in float32, for as long as the block lasts; then its memory is free again.

    Raises ConfigError when it cannot be loaded.
    """
    clip = _load(folder, device)
    try:
        yield clip
    finally:
        clip.model.to("meta")
        give_back()


def _load(folder: Path, device: torch.device) -> Clip:
    try:
        with _quiet():
            model, info = CLIPModel.from_pretrained(
                folder, dtype=torch.float32, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
            processor = CLIPImageProcessorPil.from_pretrained(folder, local_files_only=True)
            tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError, StrictDataclassError) as error:
        if is_exhausted(error):
            raise
        reason = f"cannot be loaded: {first_line(error)}"
        raise ConfigError(reason, file=folder, key=KEY, cure="fetch it again") from error
    if missing := sorted(info["missing_keys"]):
        reason = f"lacks {len(missing)} weights, the first is {missing[0]}"
        raise ConfigError(reason, file=folder, key=KEY, cure="the download is incomplete: fetch it again")
    return Clip(model.to(device).eval().requires_grad_(requires_grad=False), processor, tokenizer)


@contextmanager
def _quiet() -> Iterator[None]:
    """Bars and remarks of transformers; what matters is checked and raised."""
    level, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()


def _some(items: Iterable[_T]) -> Iterator[list[_T]]:
    """``items`` a few at a time."""
    left = iter(items)
    while some := list(islice(left, _AT_ONCE)):
        yield some


def _joined(parts: Iterable[Tensor]) -> Tensor:
    every = list(parts)
    return torch.cat(every) if every else torch.empty(0, 0)
