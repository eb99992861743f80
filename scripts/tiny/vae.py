"""Train and save the tiny VAE: `python -m scripts.tiny.vae --minutes 30`."""

from __future__ import annotations

import argparse
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from .files import BUILD, start_logging
from .vae_data import draw_batch, held_out_paths, load_pictures, training_paths
from .vae_model import (
    LATENT_CHANNELS,
    REDUCTION,
    LossWeights,
    latent_statistics,
    loss_terms,
    new_autoencoder,
    psnr,
    reconstructions,
)
from .vae_save import finish
from .vae_state import Progress, Trainee, load_state, save_state

Loss = Callable[[Tensor, Tensor, float], Tensor]
STATE = BUILD / "vae-state" / "state.safetensors"


@dataclass(frozen=True)
class Settings:
    """How the VAE is trained; the schedule follows the share of `minutes` that has passed."""

    minutes: float
    bf16: bool
    batch: int = 16
    learning_rate: float = 2e-3
    warmup_steps: int = 100
    average_decay: float = 0.998
    save_seconds: float = 120.0
    seed: int = 20
    weights: LossWeights = field(default_factory=LossWeights)


def read_settings() -> Settings:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Train the tiny VAE on the Fluent emoji at 64 px.")
    parser.add_argument("--minutes", type=float, default=30.0, help="wall-clock length, earlier parts included")
    parser.add_argument("--bf16", action="store_true", help="compute in bfloat16 (for a CPU with AVX512-BF16)")
    given = parser.parse_args()
    return Settings(minutes=given.minutes, bf16=given.bf16)


def new_trainee(settings: Settings) -> Trainee:
    """Start weights, their average and the optimizer."""
    torch.manual_seed(settings.seed)
    vae, average = new_autoencoder(), new_autoencoder()
    average.load_state_dict(vae.state_dict())
    average.requires_grad_(requires_grad=False).eval()
    optimizer = torch.optim.AdamW(vae.parameters(), lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=1e-3)
    return Trainee(vae, average, optimizer, torch.Generator().manual_seed(settings.seed))


def learning_rate(settings: Settings, progress: Progress) -> float:
    """Warm up by steps, then follow a cosine of the time spent down to a hundredth."""
    spent = min(1.0, progress.seconds / (60.0 * settings.minutes))
    warm = min(1.0, (progress.steps + 1) / settings.warmup_steps)
    return settings.learning_rate * warm * max(0.01, 0.5 * (1.0 + math.cos(math.pi * spent)))


def train_step(trainee: Trainee, loss_of: Loss, batch: Tensor, rate: float, kl_weight: float) -> float:
    """Take one optimizer step on -1..1 pictures (B, 3, 64, 64) and return the loss."""
    count, _, height, width = batch.shape
    noise = torch.randn(count, LATENT_CHANNELS, height // REDUCTION, width // REDUCTION, generator=trainee.generator)
    loss = loss_of(batch, noise, kl_weight)
    trainee.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trainee.vae.parameters(), 1.0)
    for group in trainee.optimizer.param_groups:
        group["lr"] = rate
    trainee.optimizer.step()
    return loss.item()


@torch.no_grad()
def update_average(trainee: Trainee, decay: float, steps: int) -> None:
    """Move the averaged weights towards the current ones, faster at the start."""
    weight = max(1.0 - decay, 1.0 / (steps + 1))
    torch._foreach_lerp_(list(trainee.average.parameters()), list(trainee.vae.parameters()), weight)


def make_loss(settings: Settings, trainee: Trainee) -> Loss:
    """Bind the loss to the network, at the precision asked for.

    Not compiled: with torch 2.13 on a CPU the compiled loss was a third faster and did not learn.
    """

    def loss_of(batch: Tensor, noise: Tensor, kl_weight: float) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.bf16):
            restoration, kl = loss_terms(trainee.vae, batch, noise, settings.weights)
            return restoration + kl_weight * kl

    return loss_of


def report(trainee: Trainee, progress: Progress, loss: float, pictures: Tensor) -> None:
    """Log the state of the averaged weights on held-out `pictures`."""
    statistics = latent_statistics(trainee.average, pictures, torch.Generator().manual_seed(0))
    noise = float((statistics.noise_std / statistics.std).mean())
    quality = psnr(reconstructions(trainee.average, pictures), pictures)
    shown = (progress.steps, progress.seconds / 60.0, loss, quality, noise)
    logging.info("step %d, %.1f min, loss %.4f, held-out %.2f dB, noise share %.3f", *shown)


def train(settings: Settings, trainee: Trainee, state: Path) -> Progress:
    """Train until the minutes are over, saving and reporting on the way."""
    pictures, held_out = load_pictures(training_paths()), load_pictures(held_out_paths())
    progress = load_state(state, trainee) if state.is_file() else Progress()
    loss_of = make_loss(settings, trainee)
    started = time.monotonic() - progress.seconds
    saved = progress.seconds
    while progress.seconds < 60.0 * settings.minutes:
        batch = draw_batch(pictures, settings.batch, trainee.generator)
        rate, kl_weight = learning_rate(settings, progress), settings.weights.kl_at(progress.steps)
        loss = train_step(trainee, loss_of, batch, rate, kl_weight)
        update_average(trainee, settings.average_decay, progress.steps)
        progress = Progress(progress.steps + 1, time.monotonic() - started)
        if progress.seconds - saved >= settings.save_seconds:
            saved = progress.seconds
            save_state(state, trainee, progress)
            report(trainee, progress, loss, held_out)
    save_state(state, trainee, progress)
    return progress


def main() -> None:
    """Train, or go on with an interrupted training, then write the model folder."""
    start_logging()
    torch.set_num_threads(2)
    settings = read_settings()
    trainee = new_trainee(settings)
    progress = train(settings, trainee, STATE)
    finish(trainee.average, progress, settings.batch)


if __name__ == "__main__":
    main()
