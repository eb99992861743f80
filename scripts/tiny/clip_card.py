"""The model card of the tiny CLIP."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .clip_measure import CHOICES, Marks
from .clip_model import EMBEDDING, LAYERS, PATCH, TEXT_LAYERS, TEXT_WIDTH, WIDTH
from .clip_scores import MAX_TOKENS
from .fit_state import Progress
from .npm import EMOJI_KEYWORDS, FLUENT_3D, FLUENT_FLAT


@dataclass(frozen=True)
class Run:
    """How the network was trained: how far, with how many pictures a step, on what, at which precision."""

    progress: Progress
    batch: int
    device: torch.device
    bf16: bool

    @property
    def device_words(self) -> str:
        """Say what it ran on."""
        if self.device.type == "cpu":
            return "two busy cores of an AMD EPYC, no GPU"
        return torch.cuda.get_device_name(self.device)


@dataclass(frozen=True)
class Measured:
    """What the card tells: what was found, and the size of network and training."""

    found: Marks
    parameters: int
    tokens: int
    pictures: int
    run: Run


def card(measured: Measured) -> str:
    """Write the card in Markdown."""
    found, run, progress = measured.found, measured.run, measured.run.progress
    autocast = " under bfloat16 autocast" if run.bf16 else ""
    return f"""\
---
license: mit
library_name: transformers
---

# CLIP of the tiny OmniGen

A transformers `CLIPModel` of {measured.parameters / 1e6:.2f} M parameters for pictures of emoji at 64 px and their
English names. Pictures: patches of {PATCH} px, {LAYERS} blocks, d = {WIDTH}; names: {measured.tokens:,} tokens, at most
{MAX_TOKENS} a name, {TEXT_LAYERS} blocks, d = {TEXT_WIDTH}; both meet in {EMBEDDING} dimensions. It judges whether the
tiny OmniGen drew what it was asked for, and knows nothing but emoji on white.

| | |
|---|---|
| Data | {measured.pictures:,} pictures of Microsoft's Fluent emoji, MIT: `{FLUENT_3D.spec}`, `{FLUENT_FLAT.spec}` |
| Words | names from Unicode CLDR, keywords from `{EMOJI_KEYWORDS.spec}`, MIT |
| Training | {progress.steps:,} steps of {run.batch} pictures, {progress.seconds / 60:.0f} minutes |
| Changes | moved, scaled, turned, tinted, blurred; half of the pictures after a round trip through the tiny VAE |
| Device | {run.device_words} |
| Precision | trained with fp32 weights{autocast}, stored in fp16, loaded as fp32 |

Share of pictures that find what is theirs, by the highest cosine similarity among {CHOICES} (60 held-out emoji choose
among their own names and {CHOICES - 60} training names):

| Pictures | find their own | share |
|---|---|---|
| {CHOICES} training emoji, 3D | name | {found.solid:.2f} |
| {CHOICES} training emoji, flat | name | {found.flat:.2f} |
| the 3D ones after the tiny VAE | name | {found.restored:.2f} |
| the same with noise of up to 0.6 on the latents | name | {found.noisy:.2f} |
| 60 held-out emoji, 3D | name | {found.held_out:.3f} |
| the held-out ones after the tiny VAE | name | {found.held_out_restored:.3f} |
| the 3D ones after the tiny VAE | original | {found.originals:.2f} |
| the same with noise on the latents | original | {found.noisy_originals:.2f} |
| all 1,795 training emoji, 3D, among all their names | name | {found.all_solid:.3f} |

No training step saw a held-out emoji in either style; the vocabulary was made from all names and keywords.

Made by `python -m scripts.tiny.clip`; the 60 held-out names are in `scripts/tiny/held_out.txt`. MIT licence.
"""
