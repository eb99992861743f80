"""Writing the trained VAE: standardised, in half precision, measured, with a model card."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch import Tensor

from .files import BUILD, TINY_MODEL, write_text
from .fit_state import Progress
from .vae_card import Measured, card
from .vae_data import held_out_paths, load_pictures, training_paths
from .vae_model import latent_statistics, psnr, reconstructions, standardise

FOLDER = TINY_MODEL / "vae"
SHEET = BUILD / "vae-held-out.png"

_SHEET_COLUMNS = 10


def finish(vae: AutoencoderKL, progress: Progress, batch: int) -> None:
    """Standardise the latents, save in fp16, then measure what was saved and write its card."""
    training, held_out = load_pictures(training_paths()), load_pictures(held_out_paths())
    # Half precision comes first, so that the statistics are those of the weights that are stored.
    rounded = vae.half().float()
    standardise(rounded, latent_statistics(rounded, training, torch.Generator().manual_seed(0)))
    factor = 1.0 / float(latent_statistics(rounded, training, torch.Generator().manual_seed(1)).std.mean())
    rounded.register_to_config(scaling_factor=round(factor, 5), shift_factor=None)
    unfinished = FOLDER.with_name(f".{FOLDER.name}.part")
    rounded.half().save_pretrained(unfinished, safe_serialization=True)
    stored = AutoencoderKL.from_pretrained(unfinished, torch_dtype=torch.float32)
    restored = reconstructions(stored, held_out)
    save_sheet(SHEET, restored, held_out)
    measured = Measured(
        psnr=psnr(restored, held_out),
        statistics=latent_statistics(stored, training, torch.Generator().manual_seed(1)),
        factor=stored.config.scaling_factor,
        parameters=sum(parameter.numel() for parameter in stored.parameters()),
        pictures=len(training),
        progress=progress,
        batch=batch,
    )
    write_text(unfinished / "README.md", card(measured))
    replace_folder(FOLDER, unfinished)
    logging.info("held-out PSNR %.2f dB, scaling factor %.5f, %s", measured.psnr, measured.factor, FOLDER)


def replace_folder(folder: Path, unfinished: Path) -> None:
    """Put a finished folder in the place of the former one, readable for everybody."""
    for path in unfinished.iterdir():
        path.chmod(0o644)
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.replace(folder)


def save_sheet(path: Path, restored: Tensor, pictures: Tensor) -> None:
    """Draw each picture (uint8) above its reconstruction (0..1), for a person to judge."""
    pairs = torch.cat((pictures, (restored * 255.0).round().to(torch.uint8)), dim=2)
    rows = [torch.cat(list(row), dim=2) for row in pairs.split(_SHEET_COLUMNS)]
    pixels: np.ndarray = torch.cat(rows, dim=1).permute(1, 2, 0).numpy()
    sheet = Image.fromarray(pixels)
    sheet.resize((2 * sheet.width, 2 * sheet.height), Image.Resampling.NEAREST).save(path)
