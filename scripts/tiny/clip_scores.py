"""Judging pictures with the tiny CLIP: features of pictures and names, and who finds whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize
from transformers import CLIPModel, CLIPTokenizer
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

MAX_TOKENS = 32
_EVALUATION_BATCH = 64


@dataclass(frozen=True)
class Clip:
    """The network in fp32, ready to judge, and the tokenizer of its names."""

    model: CLIPModel
    tokenizer: CLIPTokenizer


def load_clip(folder: Path) -> Clip:
    """Load the model folder without asking the network."""
    model = CLIPModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()
    return Clip(model, CLIPTokenizer.from_pretrained(folder, local_files_only=True))


def preprocess(pictures: Tensor) -> Tensor:
    """Do for pictures of 0..1 (N, 3, 64, 64) what the folder's image processor does for 64 px."""
    mean, std = (torch.tensor(values)[:, None, None].to(pictures) for values in (OPENAI_CLIP_MEAN, OPENAI_CLIP_STD))
    return (pictures - mean) / std


def caption(name: str) -> str:
    """Turn a file name into the words that CLIP was trained on."""
    return name.replace("_", " ")


def token_ids(tokenizer: CLIPTokenizer, captions: Sequence[str]) -> Tensor:
    """Encode captions to ids (N, T), filled up with end tokens and at most `MAX_TOKENS` long."""
    tokens = tokenizer(list(captions), padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
    ids: Tensor = tokens["input_ids"]
    return ids


def embed_pictures(model: CLIPModel, pictures: Tensor) -> Tensor:
    """Embed pictures of 0..1 (N, 3, 64, 64) as unit vectors (N, d)."""
    pooled = model.vision_model(pixel_values=preprocess(pictures)).pooler_output
    return normalize(model.visual_projection(pooled).float(), dim=-1)


def embed_texts(model: CLIPModel, ids: Tensor) -> Tensor:
    """Embed ids (N, T) as unit vectors (N, d); attention is causal, so what follows the end token does not matter."""
    pooled = model.text_model(input_ids=ids).pooler_output
    return normalize(model.text_projection(pooled).float(), dim=-1)


@torch.no_grad()
def image_features(clip: Clip, pictures: Tensor) -> Tensor:
    """Embed uint8 pictures (N, 3, 64, 64) as unit vectors (N, d)."""
    device = clip.model.device
    batches = pictures.split(_EVALUATION_BATCH)
    return torch.cat([embed_pictures(clip.model, batch.to(device).float() / 255.0).cpu() for batch in batches])


@torch.no_grad()
def text_features(clip: Clip, names: Sequence[str]) -> Tensor:
    """Embed names, with underscores or spaces, as unit vectors (N, d)."""
    ids = token_ids(clip.tokenizer, [caption(name) for name in names]).to(clip.model.device)
    return torch.cat([embed_texts(clip.model, batch).cpu() for batch in ids.split(_EVALUATION_BATCH)])


def retrieval(images: Tensor, texts: Tensor, own: Tensor) -> float:
    """Share of `images` (N, d) whose nearest of `texts` (M, d), all of unit length, is number `own` (N,)."""
    return float(((images @ texts.T).argmax(dim=1) == own).float().mean())
