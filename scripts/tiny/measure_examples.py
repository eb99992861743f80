"""Whether the two examples teach what they promise; needs nothing that is not in the repository."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from scripts.drawing import open_studio
from simpletuner.validation.render import Studio

from .clip_scores import Clip, image_features, load_clip, retrieval, text_features
from .files import EXAMPLES, STYLE_PROMPTS, SUBJECT_EXAMPLE, TINY_MODEL, read_json, read_names
from .measure_models import CHOICES, some_trained
from .measure_pictures import SAMPLING, drawn, nearest_in_pixels, words
from .style_model import is_flat, load_judge
from .vae_data import load_pictures

SUBJECT = "blip"
SUBJECT_DRAWS = 20
_log = logging.getLogger("tiny.examples")


def train(example: str, output: Path) -> float:
    """Train a bundled example into ``output``, which is emptied first; returns the seconds from start to exit."""
    shutil.rmtree(output, ignore_errors=True)
    started = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "simpletuner", "train", "--example", example, f"output_dir={output}"], check=True
    )
    return time.monotonic() - started


def style_figures(run: Path) -> dict[str, float]:
    """Share of 50 prompts outside the example's drawings that come out flat, and how well their subjects are found."""
    names, clip, judge = read_names(STYLE_PROMPTS), load_clip(TINY_MODEL / "clip"), load_judge()
    base, trained = open_studio(TINY_MODEL), open_studio(TINY_MODEL, run, style_strength())
    before, after = (drawn(studio, words(names)) for studio in (base, trained))
    found = [retrieved(clip, pictures, names) for pictures in (before, after)]
    return {
        "style_flat_before": float(is_flat(judge, before).double().mean()),
        "style_flat_after": float(is_flat(judge, after).double().mean()),
        "style_retrieval_before": found[0],
        "style_retrieval_after": found[1],
        "style_retrieval_lost": found[0] - found[1],
    }


def style_strength() -> float:
    """The strength at which the example's own validation shows its adapter."""
    return float(str(read_json(EXAMPLES / "emoji-style" / "config.json")["validation_lycoris_strength"]))


def subject_figures(run: Path) -> dict[str, float]:
    """Share of 20 drawings of the new word that show the subject, and what became of 50 words known before."""
    names, clip = read_names(STYLE_PROMPTS), load_clip(TINY_MODEL / "clip")
    base, trained = open_studio(TINY_MODEL), open_studio(TINY_MODEL, run)
    poses = load_pictures(sorted((SUBJECT_EXAMPLE / SUBJECT).glob("*.png")))
    others = drawn(base, words(some_trained()))
    found = [retrieved(clip, drawn(studio, words(names)), names) for studio in (base, trained)]
    return {
        "subject_found_before": shows_subject(clip, draws_of_subject(base), poses, others),
        "subject_found_after": shows_subject(clip, draws_of_subject(trained), poses, others),
        "subject_prior_retrieval_before": found[0],
        "subject_prior_retrieval_after": found[1],
        "subject_prior_retrieval_lost": found[0] - found[1],
    }


def retrieved(clip: Clip, pictures: Tensor, names: Sequence[str]) -> float:
    """Share of the pictures that CLIP gives their own name among 100 names."""
    among = [*names, *some_trained(CHOICES - len(names), keep=names)]
    return retrieval(image_features(clip, pictures), text_features(clip, among), torch.arange(len(names)))


def draws_of_subject(studio: Studio) -> Tensor:
    """The subject from 20 different noises."""
    return torch.cat([drawn(studio, [SUBJECT], replace(SAMPLING, seed=seed)) for seed in range(SUBJECT_DRAWS)])


def shows_subject(clip: Clip, pictures: Tensor, poses: Tensor, others: Tensor) -> float:
    """Share of pictures nearer to a pose than to any of 100 other drawings, both for CLIP and in pixels."""
    references = torch.cat((poses, others))
    in_clip = (image_features(clip, pictures) @ image_features(clip, references).T).argmax(dim=1)
    in_pixels = nearest_in_pixels(pictures, references)
    return float(((in_clip < len(poses)) & (in_pixels < len(poses))).double().mean())


def example_figures(folder: Path) -> dict[str, float]:
    """Train both examples into ``folder`` and measure them."""
    style, subject = folder / "emoji-style", folder / "emoji-subject"
    seconds = {"style_seconds": train("emoji-style", style), "subject_seconds": train("emoji-subject", subject)}
    return seconds | style_figures(style) | subject_figures(subject)
