"""What the tiny CLIP is examined on: do pictures find their own name, and their own original, among 100?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .clip_data import sample_names, through_vae
from .clip_scores import Clip, image_features, retrieval, text_features
from .files import FLAT, TRAIN_3D
from .vae_data import held_out_paths, load_pictures

CHOICES = 100


@dataclass(frozen=True)
class Exam:
    """Names to choose from, and pictures, uint8 (N, 3, 64, 64), that belong to the first N of them.

    `restored` are the 3D pictures after the tiny VAE, `noisy` the same with noise on the latents.
    """

    names: list[str]
    flat_names: list[str]
    held_out_names: list[str]
    all_names: list[str]
    solid: Tensor
    flat: Tensor
    held_out: Tensor
    all_solid: Tensor
    restored: Tensor
    noisy: Tensor
    held_out_restored: Tensor


@dataclass(frozen=True)
class Marks:
    """Shares of pictures that found what was theirs."""

    solid: float
    flat: float
    restored: float
    noisy: float
    all_solid: float
    held_out: float
    held_out_restored: float
    originals: float
    noisy_originals: float


def load_exam() -> Exam:
    """Choose names by a fixed seed and load their pictures; the held-out ones choose among training names, too."""
    trained = sorted(path.stem for path in TRAIN_3D.glob("*.png"))
    names = sample_names(CHOICES, trained)
    flat_names = sample_names(CHOICES, [name for name in trained if (FLAT / f"{name}.png").is_file()])
    held_out = [path.stem for path in held_out_paths()]
    solid = load_pictures(TRAIN_3D / f"{name}.png" for name in names)
    held_out_pictures = load_pictures(held_out_paths())
    restored, noisy = through_vae(solid)
    return Exam(
        names=names,
        flat_names=flat_names,
        held_out_names=held_out + names[: CHOICES - len(held_out)],
        all_names=trained,
        solid=solid,
        flat=load_pictures(FLAT / f"{name}.png" for name in flat_names),
        held_out=held_out_pictures,
        all_solid=load_pictures(TRAIN_3D / f"{name}.png" for name in trained),
        restored=restored,
        noisy=noisy,
        held_out_restored=through_vae(held_out_pictures)[0],
    )


def marks(clip: Clip, exam: Exam) -> Marks:
    """Examine `clip`."""
    originals = image_features(clip, exam.solid)
    return Marks(
        solid=by_name(clip, exam.solid, exam.names),
        flat=by_name(clip, exam.flat, exam.flat_names),
        restored=by_name(clip, exam.restored, exam.names),
        noisy=by_name(clip, exam.noisy, exam.names),
        all_solid=by_name(clip, exam.all_solid, exam.all_names),
        held_out=by_name(clip, exam.held_out, exam.held_out_names),
        held_out_restored=by_name(clip, exam.held_out_restored, exam.held_out_names),
        originals=in_order(image_features(clip, exam.restored), originals),
        noisy_originals=in_order(image_features(clip, exam.noisy), originals),
    )


def by_name(clip: Clip, pictures: Tensor, names: list[str]) -> float:
    """Share of pictures nearest to the name at their own place in `names`."""
    return in_order(image_features(clip, pictures), text_features(clip, names))


def in_order(images: Tensor, choices: Tensor) -> float:
    """Score retrieval where picture number i belongs to choice number i."""
    return retrieval(images, choices, torch.arange(len(images)))
