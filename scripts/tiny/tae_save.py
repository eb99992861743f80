"""Writing the trained preview decoder: in half precision, measured, with a model card."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from diffusers import AutoencoderKL, AutoencoderTiny

from .files import BUILD, TINY_MODEL, read_json, write_json, write_text
from .tae_card import Measured, Training, card
from .tae_measure import decode_speedup, encoder_error, round_trip_psnr, tae_pictures, tae_psnr
from .vae_data import held_out_paths, load_pictures
from .vae_model import psnr, reconstructions
from .vae_save import replace_folder, save_sheet

FOLDER = TINY_MODEL / "tae"
SHEET = BUILD / "tae-held-out.png"

_TIMED_BATCHES = (1, 8)


def finish(tae: AutoencoderTiny, training: Training) -> None:
    """Save in fp16, then measure what was saved and write its card."""
    unfinished = FOLDER.with_name(f".{FOLDER.name}.part")
    save(tae, unfinished)
    # Loaded as a user loads them: the speed depends on the memory layout.
    stored = AutoencoderTiny.from_pretrained(unfinished, torch_dtype=torch.float32)
    vae = AutoencoderKL.from_pretrained(TINY_MODEL / "vae", torch_dtype=torch.float32)
    measured = measure(stored, vae)
    write_text(unfinished / "README.md", card(measured, training))
    replace_folder(FOLDER, unfinished)
    logging.info("held-out PSNR %.2f dB (VAE %.2f), %s", measured.psnr, measured.vae_psnr, FOLDER)


def save(tae: AutoencoderTiny, folder: Path) -> None:
    """Write weights in fp16; of the configuration, what the class itself can read back without a warning."""
    tae.half().save_pretrained(folder, safe_serialization=True)
    settings = read_json(folder / "config.json")
    write_json(folder / "config.json", {key: value for key, value in settings.items() if key != "block_out_channels"})


def measure(tae: AutoencoderTiny, vae: AutoencoderKL) -> Measured:
    """Measure quality on the held-out pictures and speed on this CPU, and draw the sheet to look at."""
    held_out = load_pictures(held_out_paths())
    save_sheet(SHEET, tae_pictures(tae, vae, held_out), held_out)
    return Measured(
        psnr=tae_psnr(tae, vae, held_out),
        vae_psnr=psnr(reconstructions(vae, held_out), held_out),
        round_trip_psnr=round_trip_psnr(tae, held_out),
        encoder_error=encoder_error(tae, vae, held_out),
        speedups=measured_speedups(tae, vae),
        decoder_parameters=sum(parameter.numel() for parameter in tae.decoder.parameters()),
        encoder_parameters=sum(parameter.numel() for parameter in tae.encoder.parameters()),
    )


def measured_speedups(tae: AutoencoderTiny, vae: AutoencoderKL) -> dict[int, float]:
    """Measure with one thread, which a busy machine disturbs least, and put the number of threads back."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return {batch: decode_speedup(tae, vae, batch) for batch in _TIMED_BATCHES}
    finally:
        torch.set_num_threads(threads)
