"""Pictures and captions for CLIP: each subject in two styles and three states, changed a little at random."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample
from transformers import CLIPTokenizer

from .clip_scores import caption, token_ids
from .clip_text import phrases
from .files import FLAT, TINY_MODEL, TRAIN_3D
from .vae_data import as_signal, load_pictures, training_paths
from .vae_model import decoded, moments

_STATE_SHARES = (0.5, 0.2, 0.3)
_LATENT_NOISE = 0.6
_PHRASES = 24
_MAX_SCALE, _MAX_TURN, _MAX_MOVE = 0.15, 0.12, 0.12
_MAX_GAIN, _MAX_TINT = 0.15, 0.06
_BLURRED_SHARE = 0.4
_VAE_BATCH = 64
_SEED = 0


@dataclass(frozen=True)
class Material:
    """All that training draws from, for S subjects and N pictures.

    `states` holds every picture three times, uint8 (N, 3, 64, 64): as drawn, through the VAE, and through it with noise
    on the latents. `rows` (S, 2) says which picture is the 3D one and which the flat one; where there is no flat one,
    both are the 3D one. `names` (S, T) and `phrases` (S, P, T) are token ids.
    """

    states: tuple[Tensor, Tensor, Tensor]
    rows: Tensor
    names: Tensor
    phrases: Tensor


@dataclass(frozen=True)
class Batch:
    """Pictures of distinct subjects, 0..1 (B, 3, 64, 64), and ids (B, T) of each one's name and of a phrase."""

    pictures: Tensor
    names: Tensor
    phrases: Tensor

    def to(self, device: torch.device) -> Batch:
        """Move everything."""
        return Batch(self.pictures.to(device), self.names.to(device), self.phrases.to(device))


def load_material(tokenizer: CLIPTokenizer) -> Material:
    """Load the training pictures (never a held-out subject, in either style) and pass them through the tiny VAE."""
    paths = training_paths()
    numbers = {path: number for number, path in enumerate(paths)}
    subjects = [path for path in paths if path.parent == TRAIN_3D]
    rows = [(numbers[path], numbers.get(FLAT / path.name, numbers[path])) for path in subjects]
    names = [path.stem for path in subjects]
    generator = random.Random(_SEED)
    drawn = [phrase for name in names for phrase in phrases(name, _PHRASES, generator)]
    pictures = load_pictures(paths)
    return Material(
        states=(pictures, *through_vae(pictures)),
        rows=torch.tensor(rows),
        names=token_ids(tokenizer, [caption(name) for name in names]),
        phrases=token_ids(tokenizer, drawn).view(len(names), _PHRASES, -1),
    )


@torch.no_grad()
def through_vae(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Pass uint8 pictures (N, 3, 64, 64) through the tiny VAE; return them as they are and from noisy latents.

    CLIP will judge pictures that the tiny OmniGen draws: as soft as the VAE's, with details that went wrong.
    """
    vae = AutoencoderKL.from_pretrained(TINY_MODEL / "vae", torch_dtype=torch.float32)
    generator = torch.Generator().manual_seed(_SEED)
    clean, noisy = [], []
    for batch in pictures.split(_VAE_BATCH):
        latents = moments(vae, as_signal(batch))[0]
        strength = _LATENT_NOISE * torch.rand(len(batch), 1, 1, 1, generator=generator)
        noise = strength * torch.randn(latents.shape, generator=generator)
        clean.append(_as_bytes(decoded(vae, latents)))
        noisy.append(_as_bytes(decoded(vae, latents + noise)))
    return torch.cat(clean), torch.cat(noisy)


def _as_bytes(signal: Tensor) -> Tensor:
    return ((signal + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8).contiguous()


def draw_batch(material: Material, count: int, generator: torch.Generator) -> Batch:
    """Draw `count` distinct subjects, each in one style and state, with its name and one of its phrases."""
    subjects = torch.randperm(len(material.rows), generator=generator)[:count]
    rows = material.rows[subjects, torch.randint(2, (count,), generator=generator)]
    states = torch.multinomial(torch.tensor(_STATE_SHARES), count, replacement=True, generator=generator)
    chosen = zip(states.tolist(), rows.tolist(), strict=True)
    pictures = torch.stack([material.states[state][row] for state, row in chosen])
    phrase = torch.randint(material.phrases.shape[1], (count,), generator=generator)
    return Batch(changed(pictures, generator), material.names[subjects], material.phrases[subjects, phrase])


def changed(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Scale, turn, move, tint and blur uint8 pictures a little, returning 0..1; no mirroring: arrows, letters, flags.

    What is computed with is ink, the distance from white, so that what comes in from outside is white.
    """
    ink = 1.0 - pictures.float() / 255.0
    ink = grid_sample(ink, _random_grid(ink, generator), align_corners=False)
    gain = 1.0 + _MAX_GAIN * _spread((len(ink), 1, 1, 1), generator)
    tint = 1.0 + _MAX_TINT * _spread((len(ink), 3, 1, 1), generator)
    blur = torch.rand(len(ink), 1, 1, 1, generator=generator)
    blur = blur / _BLURRED_SHARE * (blur < _BLURRED_SHARE)
    ink = ink.lerp(avg_pool2d(ink, 3, stride=1, padding=1), blur.expand_as(ink))
    return 1.0 - (ink * gain * tint).clamp(0.0, 1.0)


def _random_grid(pictures: Tensor, generator: torch.Generator) -> Tensor:
    scale, turn, across, down = _spread((4, len(pictures)), generator)
    scale = 1.0 + _MAX_SCALE * scale
    cosine, sine = scale * torch.cos(_MAX_TURN * turn), scale * torch.sin(_MAX_TURN * turn)
    rows = (torch.stack((cosine, -sine, _MAX_MOVE * across)), torch.stack((sine, cosine, _MAX_MOVE * down)))
    return affine_grid(torch.stack(rows).permute(2, 0, 1), list(pictures.shape), align_corners=False)


def _spread(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Draw evenly from -1..1."""
    return 2.0 * torch.rand(shape, generator=generator) - 1.0


def sample_names(count: int, names: Sequence[str]) -> list[str]:
    """Choose `count` of `names` by a fixed seed; no flags, whose names are places."""
    shuffled = sorted(name for name in names if not name.startswith("flag_"))
    random.Random(_SEED).shuffle(shuffled)
    return shuffled[:count]
