"""Train and save the tiny VAE: `python -m scripts.tiny.vae --minutes 30`."""

from __future__ import annotations

import logging

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from .files import BUILD, start_logging
from .fit import Command, Loss, Report, Schedule, fit, new_trainee, read_command
from .fit_state import Progress, Trainee
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

STATE = BUILD / "vae-state" / "state.safetensors"
BATCH = 16
WEIGHTS = LossWeights()
SEED = 20


def make_loss(settings: Command, vae: AutoencoderKL, pictures: Tensor, generator: torch.Generator) -> Loss:
    """Bind the loss to the network, at the precision asked for.

    Not compiled: with torch 2.13 on a CPU the compiled loss was a third faster and did not learn.
    """

    def loss_of(progress: Progress) -> Tensor:
        batch = draw_batch(pictures, BATCH, generator).to(settings.device)
        count, _, height, width = batch.shape
        noise = torch.randn(count, LATENT_CHANNELS, height // REDUCTION, width // REDUCTION, generator=generator)
        with torch.autocast(settings.device.type, torch.bfloat16, enabled=settings.bf16):
            restoration, kl = loss_terms(vae, batch, noise.to(batch), WEIGHTS)
            return restoration + WEIGHTS.kl_at(progress.steps) * kl

    return loss_of


def make_report(average: AutoencoderKL, pictures: Tensor) -> Report:
    """Quality on the held-out `pictures`, and how much of a latent's deviation is posterior noise."""

    def report(progress: Progress) -> str:
        del progress
        statistics = latent_statistics(average, pictures, torch.Generator().manual_seed(0))
        noise = float((statistics.noise_std / statistics.std).mean())
        return f"held-out {psnr(reconstructions(average, pictures), pictures):.2f} dB, noise share {noise:.3f}"

    return report


def train(settings: Command, vae: AutoencoderKL, trainee: Trainee[AutoencoderKL]) -> Progress:
    """Train until the minutes are over."""
    loss_of = make_loss(settings, vae, load_pictures(training_paths()), trainee.generator)
    schedule = Schedule(settings.minutes, learning_rate=2e-3)
    return fit(schedule, trainee, STATE, loss_of, make_report(trainee.average, load_pictures(held_out_paths())))


def main() -> None:
    """Train, or go on with an interrupted training, then write the model folder."""
    start_logging()
    settings = read_command("Train the tiny VAE on the Fluent emoji at 64 px.", minutes=30.0)
    torch.manual_seed(SEED)
    vae = new_autoencoder().to(settings.device)
    trainee = new_trainee(vae, SEED)
    progress = train(settings, vae, trainee)
    finish(trainee.average.cpu(), progress, BATCH)
    logging.info("%d steps", progress.steps)


if __name__ == "__main__":
    main()
