"""Train and save the tiny preview decoder: `python -m scripts.tiny.tae --minutes 20`."""

from __future__ import annotations

import logging

import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from torch import Tensor

from .files import BUILD, TINY_MODEL, start_logging
from .fit import Command, Loss, Report, Schedule, fit, new_trainee, read_command
from .fit_state import Progress, Trainee
from .tae_card import Training
from .tae_measure import encoder_error, tae_psnr
from .tae_model import Pairs, decoder_loss, encoded, encoder_loss, new_preview_autoencoder, noisy_latents
from .tae_save import finish
from .vae_data import as_signal, flip, held_out_paths, load_pictures, shift, swap_channels, training_paths
from .vae_model import LossWeights

STATE = BUILD / "tae-state" / "state.safetensors"
BATCH = 32
WEIGHTS = LossWeights()
SEED = 21

_COPIES = 6
_COPY_BATCH = 64


def load_vae(device: torch.device) -> AutoencoderKL:
    """Load the tiny VAE, which stays as it is, in single precision."""
    vae = AutoencoderKL.from_pretrained(TINY_MODEL / "vae", torch_dtype=torch.float32)
    return vae.requires_grad_(requires_grad=False).eval().to(device, memory_format=torch.channels_last)


def augmented_pairs(vae: AutoencoderKL, pictures: Tensor) -> Pairs:
    """Encode every picture in several changed copies, once: each copy is then drawn many times.

    The generator is one of its own, so that an interrupted training goes on with the same copies.
    """
    generator = torch.Generator().manual_seed(SEED)
    copies = [
        swap_channels(flip(shift(part, generator), generator), generator)
        for _ in range(_COPIES)
        for part in pictures.split(_COPY_BATCH)
    ]
    return encoded(vae, torch.cat(copies))


def make_loss(settings: Command, tae: AutoencoderTiny, pairs: Pairs, generator: torch.Generator) -> Loss:
    """Bind the loss of decoder and encoder, which share no weights, to the network."""

    def loss_of(progress: Progress) -> Tensor:
        del progress
        chosen = torch.randint(len(pairs.pictures), (BATCH,), generator=generator)
        pictures, means = as_signal(pairs.pictures[chosen]).to(settings.device), pairs.means[chosen]
        latents = noisy_latents(means, pairs.deviations[chosen], generator).to(settings.device)
        # The encoder is a companion: half of the pictures will do for it.
        half = BATCH // 2
        with torch.autocast(settings.device.type, torch.bfloat16, enabled=settings.bf16):
            beside = encoder_loss(tae, pictures[:half], means[:half].to(settings.device))
            return decoder_loss(tae, latents, pictures, WEIGHTS) + beside

    return loss_of


def make_report(average: AutoencoderTiny, vae: AutoencoderKL, pictures: Tensor) -> Report:
    """Quality on the held-out `pictures`."""

    def report(progress: Progress) -> str:
        del progress
        quality, error = tae_psnr(average, vae, pictures), encoder_error(average, vae, pictures)
        return f"held-out {quality:.2f} dB, encoder error {error:.3f}"

    return report


def train(settings: Command, vae: AutoencoderKL, trainee: Trainee[AutoencoderTiny]) -> Progress:
    """Train until the minutes are over."""
    pairs = augmented_pairs(vae, load_pictures(training_paths()))
    loss_of = make_loss(settings, trainee.network, pairs, trainee.generator)
    schedule = Schedule(settings.minutes, learning_rate=5e-3)
    report = make_report(trainee.average, vae, load_pictures(held_out_paths()))
    return fit(schedule, trainee, STATE, loss_of, report)


def described(settings: Command, progress: Progress) -> Training:
    """Put the training into the words of the card."""
    on_cpu = settings.device.type == "cpu"
    return Training(
        progress=progress,
        batch=BATCH,
        pictures=len(training_paths()),
        copies=_COPIES,
        bf16=settings.bf16,
        device="two busy cores of an AMD EPYC, no GPU" if on_cpu else torch.cuda.get_device_name(settings.device),
    )


def main() -> None:
    """Train, or go on with an interrupted training, then write the model folder."""
    start_logging()
    settings = read_command("Train the tiny preview decoder on the tiny VAE's latents.", minutes=20.0)
    torch.manual_seed(SEED)
    trainee = new_trainee(new_preview_autoencoder().to(settings.device), SEED)
    progress = train(settings, load_vae(settings.device), trainee)
    finish(trainee.average.cpu(), described(settings, progress))
    logging.info("%d steps", progress.steps)


if __name__ == "__main__":
    main()
