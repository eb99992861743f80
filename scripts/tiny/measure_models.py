"""How good the small networks are on real pictures; needs the pictures of `scripts.tiny.emoji`."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import AutoencoderKL, AutoencoderTiny

from .clip_scores import Clip, image_features, load_clip, retrieval, text_features
from .files import (
    FLAT,
    HELD_OUT_3D,
    HELD_OUT_LIST,
    TINY_MODEL,
    TRAIN_3D,
    TRAINED_LIST,
    read_names,
)
from .style_model import stored_accuracy
from .tae_measure import tae_psnr
from .tae_save import measured_speedups
from .vae_data import held_out_paths, load_pictures
from .vae_model import psnr, reconstructions

SEED = 3
CHOICES = 100


def some_trained(count: int = CHOICES, keep: Sequence[str] = ()) -> list[str]:
    """``count`` training names, the same ones each time, none of them in ``keep``.

    Flags are left out: at 64 px nobody tells Chad's from Romania's.
    """
    names = [name for name in read_names(TRAINED_LIST) if not name.startswith("flag_") and name not in keep]
    return random.Random(SEED).sample(names, count)


def model_figures() -> dict[str, float]:
    """VAE, preview decoder, CLIP and judge of style, each on its own."""
    return {**_autoencoder_figures(), **_clip_figures(), "style_judge_accuracy": stored_accuracy(), **_sizes()}


def _autoencoder_figures() -> dict[str, float]:
    vae = AutoencoderKL.from_pretrained(TINY_MODEL / "vae", torch_dtype=torch.float32).eval()
    tae = AutoencoderTiny.from_pretrained(TINY_MODEL / "tae", torch_dtype=torch.float32).eval()
    pictures = load_pictures(held_out_paths())
    vae_db, tae_db = psnr(reconstructions(vae, pictures), pictures), tae_psnr(tae, vae, pictures)
    return {
        "vae_psnr_db": vae_db,
        "tae_psnr_db": tae_db,
        "tae_psnr_behind_vae_db": vae_db - tae_db,
        "tae_decode_speedup": measured_speedups(tae, vae)[1],
    }


def _clip_figures() -> dict[str, float]:
    clip = load_clip(TINY_MODEL / "clip")
    trained, held_out = some_trained(), read_names(HELD_OUT_LIST)
    drawn_flat = [name for name in some_trained(2 * CHOICES) if (FLAT / f"{name}.png").is_file()][:CHOICES]
    among = held_out + some_trained(CHOICES - len(held_out))
    return {
        "clip_retrieval_of_100_trained": _found(clip, TRAIN_3D, trained, trained),
        "clip_retrieval_of_100_trained_flat": _found(clip, FLAT, drawn_flat, drawn_flat),
        "clip_retrieval_of_100_held_out": _found(clip, HELD_OUT_3D, held_out, among),
    }


def _found(clip: Clip, folder: Path, names: Sequence[str], among: Sequence[str]) -> float:
    """Share of the names' pictures that are nearest to their own name; ``among`` starts with ``names``."""
    pictures = load_pictures(folder / f"{name}.png" for name in names)
    return retrieval(image_features(clip, pictures), text_features(clip, among), torch.arange(len(names)))


def _sizes() -> dict[str, float]:
    files = [path for path in TINY_MODEL.rglob("*") if path.is_file()]
    return {"models_megabytes": sum(path.stat().st_size for path in files) / 1e6}
