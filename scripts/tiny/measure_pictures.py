"""What the transformer draws: 100 pictures against the emoji they were asked for, and a sheet for a person."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from scripts.drawing import draw, open_studio
from simpletuner.validation.render import Sampling, Studio

from .clip_scores import image_features, load_clip, retrieval
from .files import FLAT, FLAT_SUFFIX, STYLE_PROMPTS, TINY_MODEL, TRAIN_3D, read_names
from .measure_models import some_trained
from .sheet import labelled
from .style_model import is_flat, load_judge
from .vae_data import SIZE, load_pictures

SAMPLING = Sampling(steps=20, guidance=2.5, seed=42)
SHEET_PROMPTS = Path(__file__).with_name("sheet_prompts.txt")
_SMALL = 32


def drawn(studio: Studio, prompts: Sequence[str], sampling: Sampling = SAMPLING) -> Tensor:
    """Pictures (N, 3, 64, 64) uint8 of the prompts."""
    pictures = draw(studio, prompts, SIZE, sampling)
    return torch.stack([torch.from_numpy(np.array(picture)).permute(2, 0, 1) for picture in pictures])


def words(names: Sequence[str]) -> list[str]:
    """File names as prompts."""
    return [name.replace("_", " ") for name in names]


def nearest_in_pixels(pictures: Tensor, references: Tensor) -> Tensor:
    """For each uint8 picture the index of the nearest reference, both made 32 px small."""
    one, other = (
        interpolate(part.float(), size=(_SMALL, _SMALL), mode="area").flatten(1) for part in (pictures, references)
    )
    return torch.cdist(one, other).argmin(dim=1)


def picture_figures(sheet: Path) -> dict[str, float]:
    """Figures of the base model; its contact sheet is written to ``sheet``."""
    studio, clip = open_studio(TINY_MODEL), load_clip(TINY_MODEL / "clip")
    names = some_trained()
    own = torch.arange(len(names))
    real = load_pictures(TRAIN_3D / f"{name}.png" for name in names)
    pictures = drawn(studio, words(names))
    _write_sheet(studio, sheet)
    return {
        "drawn_nearest_in_clip_of_100": retrieval(image_features(clip, pictures), image_features(clip, real), own),
        "drawn_nearest_in_pixels_of_100": float((nearest_in_pixels(pictures, real) == own).float().mean()),
        **_style_figures(studio),
    }


def _style_figures(studio: Studio) -> dict[str, float]:
    """Whether "flat drawing" makes subjects flat whose flat drawing the model has never seen."""
    names = read_names(STYLE_PROMPTS)
    pictures = drawn(studio, words([f"{name}{FLAT_SUFFIX}" for name in names]))
    real = load_pictures(FLAT / f"{name}.png" for name in names)
    found = nearest_in_pixels(pictures, real) == torch.arange(len(names))
    return {
        "asked_for_flat_is_flat": float(is_flat(load_judge(), pictures).float().mean()),
        "asked_for_flat_nearest_in_pixels_of_50": float(found.float().mean()),
    }


def _write_sheet(studio: Studio, target: Path) -> None:
    prompts = SHEET_PROMPTS.read_text(encoding="utf-8").splitlines()
    pictures = draw(studio, prompts, SIZE, SAMPLING)
    labelled(list(zip(prompts, pictures, strict=True)), columns=8).save(target, optimize=True)
