"""Choose the 50 subjects that the example `emoji-style` is judged by: `python -m scripts.tiny.style_subjects`.

They must be new to base model and example as flat drawings, and the judge of style must be able to read them: right on
both of their real pictures, as drawn and through the VAE. No picture that a model drew has a say in it.
"""

from __future__ import annotations

import logging
import random

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from .example_pictures import EXAMPLE_NAMES
from .files import (
    FLAT,
    FLAT_SHOWN_LIST,
    STYLE_PROMPTS,
    TINY_MODEL,
    TRAIN_3D,
    TRAINED_LIST,
    read_names,
    start_logging,
    write_names,
)
from .style import LATENT_NOISE, through
from .style_model import is_flat, load_judge
from .vae_data import load_pictures

COUNT = 50
SEED = 0


def candidates() -> list[str]:
    """Subjects with a flat drawing that neither the base model nor the example was shown; no flags."""
    seen = set(read_names(FLAT_SHOWN_LIST)) | set(EXAMPLE_NAMES)
    return [
        name
        for name in read_names(TRAINED_LIST)
        if name not in seen and not name.startswith("flag_") and (FLAT / f"{name}.png").is_file()
    ]


def legible(names: list[str]) -> Tensor:
    """Whether the judge reads both real pictures of each subject right in every copy: (N,) bool."""
    vae = AutoencoderKL.from_pretrained(TINY_MODEL / "vae", torch_dtype=torch.float32)
    judge, draws = load_judge(), torch.Generator().manual_seed(SEED)
    right = torch.ones(len(names), dtype=torch.bool)
    for folder, flat in ((TRAIN_3D, False), (FLAT, True)):
        real = load_pictures(folder / f"{name}.png" for name in names)
        for copy in (real, *(through(vae, real, noise, draws) for noise in LATENT_NOISE)):
            right &= is_flat(judge, copy) == flat
    return right


def main() -> None:
    """Write ``style_prompts.txt``."""
    start_logging()
    names = candidates()
    readable = [name for name, right in zip(names, legible(names).tolist(), strict=True) if right]
    write_names(STYLE_PROMPTS, sorted(random.Random(SEED).sample(readable, COUNT)))
    logging.info("%d candidates, %d legible, %d chosen", len(names), len(readable), COUNT)


if __name__ == "__main__":
    main()
