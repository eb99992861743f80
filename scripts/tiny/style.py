"""Train the judge of style, flat drawing or 3D: `python -m scripts.tiny.style --minutes 12`.

It measures the example `emoji-style`. It learns from pictures as drawn and as the tiny VAE gives them back with some
noise in the latents, so that it goes by shading and not by sharpness: what it judges has been drawn by a model.
"""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from .files import (
    BUILD,
    FLAT,
    HELD_OUT_3D,
    HELD_OUT_LIST,
    TINY_MODEL,
    TRAIN_3D,
    TRAINED_LIST,
    read_names,
    start_logging,
)
from .fit import Loss, Report, Schedule, fit, new_trainee
from .fit_state import Progress
from .style_model import WEIGHTS, is_flat, new_judge
from .vae_data import as_signal, flip, load_pictures, shift
from .vae_model import decoded, moments

STATE = BUILD / "style-state" / "state.safetensors"
LATENT_NOISE = (0.0, 0.15, 0.3)
"""Deviations of the noise that is added to unit-variance latents, one copy of every picture each."""

BATCH = 64
TEST_EVERY = 10
_CHUNK = 128


@dataclass(frozen=True)
class Split:
    """Pictures (N, C, 3, 64, 64) uint8: as drawn, then C - 1 copies through the VAE. ``flat`` is (N,) of 0 and 1."""

    pictures: Tensor
    flat: Tensor


def subjects() -> tuple[list[str], list[str]]:
    """Names to learn from and names to test with: the held-out ones and every tenth other."""
    held_out, trained = read_names(HELD_OUT_LIST), read_names(TRAINED_LIST)
    test = trained[::TEST_EVERY]
    return sorted(set(trained) - set(test)), held_out + test


def paths_of(names: list[str]) -> tuple[list[Path], list[int]]:
    """The files of these subjects and whether each is a flat drawing."""
    found = [
        (folder / f"{name}.png", int(folder == FLAT))
        for name in names
        for folder in (TRAIN_3D, HELD_OUT_3D, FLAT)
        if (folder / f"{name}.png").is_file()
    ]
    return [path for path, _ in found], [label for _, label in found]


def load_split(names: list[str], vae: AutoencoderKL, draws: torch.Generator) -> Split:
    """Load the subjects' pictures with their copies through the VAE."""
    paths, labels = paths_of(names)
    real = load_pictures(paths)
    copies = [real, *(through(vae, real, noise, draws) for noise in LATENT_NOISE)]
    return Split(torch.stack(copies, dim=1), torch.tensor(labels).float())


@torch.no_grad()
def through(vae: AutoencoderKL, pictures: Tensor, noise: float, draws: torch.Generator) -> Tensor:
    """Pictures (N, 3, 64, 64) uint8 as the VAE gives them back from noisy latents."""
    parts = []
    for part in pictures.split(_CHUNK):
        latents = moments(vae, as_signal(part))[0]
        restored = decoded(vae, latents + noise * torch.randn(latents.shape, generator=draws))
        parts.append((restored.clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8))
    return torch.cat(parts)


def balanced(flat: Tensor, count: int, draws: torch.Generator) -> Tensor:
    """Indices (count,) of as many flat drawings as 3D pictures."""
    halves = [torch.nonzero(flat == label)[:, 0] for label in (0, 1)]
    return torch.cat([half[torch.randint(len(half), (count // 2,), generator=draws)] for half in halves])


def accuracy(judge: nn.Module, split: Split, copy: int) -> float:
    """Mean over the two styles of the share that is judged right; ``copy`` 0 is the picture as drawn."""
    right = is_flat(judge, split.pictures[:, copy]) == (split.flat > 0)
    return float(torch.stack([right[split.flat == label].float().mean() for label in (0, 1)]).mean())


def make_loss(judge: nn.Module, learn: Split, draws: torch.Generator) -> Loss:
    """Cross-entropy on shifted and mirrored copies, half of them flat."""

    def loss_of(progress: Progress) -> Tensor:
        del progress
        chosen = balanced(learn.flat, BATCH, draws)
        copies = torch.randint(learn.pictures.shape[1], (BATCH,), generator=draws)
        changed = flip(shift(learn.pictures[chosen, copies], draws), draws)
        return binary_cross_entropy_with_logits(judge(as_signal(changed))[:, 0], learn.flat[chosen])

    return loss_of


def make_report(judge: nn.Module, test: Split) -> Report:
    """Accuracy on subjects set aside: as drawn, then through the VAE with more and more noise."""

    def report(progress: Progress) -> str:
        del progress
        return " ".join(f"{accuracy(judge, test, copy):.4f}" for copy in range(test.pictures.shape[1]))

    return report


def train(minutes: float) -> None:
    """Train, measure on subjects set aside, store."""
    vae = AutoencoderKL.from_pretrained(TINY_MODEL / "vae", torch_dtype=torch.float32)
    learn, test = (load_split(names, vae, torch.Generator().manual_seed(part)) for part, names in enumerate(subjects()))
    torch.manual_seed(0)
    judge = new_judge()
    trainee = new_trainee(judge, 0, weight_decay=0.05)
    schedule = Schedule(minutes, learning_rate=3e-3, save_seconds=60.0)
    loss_of = make_loss(judge, learn, trainee.generator)
    progress = fit(schedule, trainee, STATE, loss_of, make_report(trainee.average, test))
    measured = {
        "accuracy": accuracy(trainee.average, test, 0),
        "accuracy_through_vae": accuracy(trainee.average, test, 1),
        "test_pictures": len(test.flat),
        "steps": progress.steps,
    }
    tensors = {name: tensor.half().contiguous() for name, tensor in trainee.average.state_dict().items()}
    save_file(tensors, WEIGHTS, metadata={"measured": json.dumps(measured)})
    logging.info("%s: %s", WEIGHTS.name, measured)


def main() -> None:
    """Read the command line and train."""
    start_logging()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=12.0)
    train(parser.parse_args().minutes)


if __name__ == "__main__":
    main()
