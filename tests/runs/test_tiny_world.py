"""The committed small networks on the pictures that the examples bring along: a coarse form of the report's gates."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from PIL import Image
from torch import Tensor
from transformers import CLIPImageProcessorPil

from scripts.drawing import open_studio
from scripts.tiny.clip_scores import image_features, load_clip, preprocess, retrieval, text_features
from scripts.tiny.files import (
    EXAMPLE_PICTURES,
    FLAT_SHOWN_LIST,
    HELD_OUT_LIST,
    STYLE_PROMPTS,
    SUBJECT_EXAMPLE,
    TINY_MODEL,
    TRAINED_LIST,
    read_names,
)
from scripts.tiny.measure_examples import shows_subject
from scripts.tiny.measure_models import some_trained
from scripts.tiny.measure_pictures import drawn, nearest_in_pixels, words
from scripts.tiny.style_model import is_flat, load_judge, stored_accuracy
from scripts.tiny.tae_measure import tae_psnr
from scripts.tiny.vae_data import load_pictures
from scripts.tiny.vae_model import psnr, reconstructions

FLAT = tuple(sorted(EXAMPLE_PICTURES.glob("*.png")))
SOLID = tuple(sorted((SUBJECT_EXAMPLE / "emoji").glob("*.png")))
POSES = tuple(sorted((SUBJECT_EXAMPLE / "blip").glob("*.png")))


@functools.cache
def pictures(paths: tuple[Path, ...]) -> Tensor:
    return load_pictures(paths)


@pytest.fixture(scope="module")
def vae() -> AutoencoderKL:
    return AutoencoderKL.from_pretrained(TINY_MODEL / "vae", torch_dtype=torch.float32).eval()


def test_names_are_written_down_and_kept_apart() -> None:
    trained, held_out = set(read_names(TRAINED_LIST)), set(read_names(HELD_OUT_LIST))
    shown, asked = set(read_names(FLAT_SHOWN_LIST)), set(read_names(STYLE_PROMPTS))
    assert (len(trained), len(held_out), len(asked)) == (1795, 60, 50)
    assert not trained & held_out
    assert shown <= trained
    assert asked <= trained
    assert not shown & (asked | {path.stem for path in FLAT})
    assert not asked & {path.stem for path in FLAT}


def test_the_vae_brings_pictures_back(vae: AutoencoderKL) -> None:
    assert psnr(reconstructions(vae, pictures(SOLID)), pictures(SOLID)) > 23


def test_previews_are_near_the_vae(vae: AutoencoderKL) -> None:
    tae = AutoencoderTiny.from_pretrained(TINY_MODEL / "tae", torch_dtype=torch.float32).eval()
    behind = psnr(reconstructions(vae, pictures(SOLID)), pictures(SOLID)) - tae_psnr(tae, vae, pictures(SOLID))
    assert 0 < behind < 2


def test_clip_gives_pictures_their_names() -> None:
    clip, paths = load_clip(TINY_MODEL / "clip"), FLAT + SOLID[2:]
    names = list(dict.fromkeys(path.stem for path in paths))
    own = torch.tensor([names.index(path.stem) for path in paths])
    texts = text_features(clip, names + some_trained(100 - len(names), keep=names))
    assert texts.shape[0] == 100
    assert retrieval(image_features(clip, pictures(paths)), texts, own) > 0.8
    assert retrieval(image_features(clip, pictures(paths)), texts, own.roll(1)) < 0.1


def test_the_processor_in_clips_folder_does_what_the_scores_do() -> None:
    processor = CLIPImageProcessorPil.from_pretrained(TINY_MODEL / "clip", local_files_only=True)
    images = [Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy()) for picture in pictures(POSES)]
    theirs = processor(images, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(preprocess(pictures(POSES).float() / 255), theirs, atol=1e-3, rtol=0)


def test_the_judge_tells_flat_from_3d() -> None:
    judge = load_judge()
    assert is_flat(judge, pictures(FLAT)).float().mean() > 0.9
    assert is_flat(judge, pictures(SOLID)).float().mean() < 0.1
    assert stored_accuracy() >= 0.98


def test_the_base_draws_what_it_is_asked_for_and_does_not_know_the_subject() -> None:
    studio = open_studio(TINY_MODEL)
    own = drawn(studio, words([path.stem for path in SOLID]))
    right = nearest_in_pixels(own, pictures(SOLID)) == torch.arange(len(SOLID))
    assert right.float().mean() > 0.75
    blip = drawn(studio, ["blip"])
    assert shows_subject(load_clip(TINY_MODEL / "clip"), blip, pictures(POSES), own) == 0.0
