from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image

from simpletuner.config.reading.find import example_folder
from simpletuner.models.family import MemorySaving
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.layers import TINY_FOLDER
from simpletuner.validation.probes.artifacts import fine_detail, psnr, round_trip, worst_regions


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (height, width, 3))


def test_the_ratio_is_that_of_the_formula() -> None:
    before = np.zeros((8, 8, 3))
    assert psnr(before, before + 25.5) == pytest.approx(20.0)
    assert psnr(before, before) == math.inf


def test_the_worst_region_is_where_the_error_is() -> None:
    before = noise(48, 64)
    after = before.copy()
    after[6:12, 16:24] += 40
    first = worst_regions(before, after)[0]
    assert (first.left, first.top, first.width, first.height) == (16, 6, 8, 6)
    assert first.psnr == pytest.approx(10 * math.log10(255**2 / 1600))


def test_fine_detail_is_what_a_blur_takes_away() -> None:
    before = noise(32, 32)
    flat = np.repeat(np.repeat(before[::4, ::4], 4, axis=0), 4, axis=1)
    assert fine_detail(before, before) == pytest.approx(1.0)
    lost = fine_detail(before, flat)
    assert lost is not None
    assert lost < 0.3
    assert fine_detail(np.full((16, 16, 3), 9.0), noise(16, 16)) is None


def test_a_picture_goes_through_the_vae_and_its_sheet_shows_it() -> None:
    codec = OmniGen().load_codec(TINY_FOLDER, torch.device("cpu"), torch.float32, MemorySaving())
    image = Image.open(example_folder("emoji-style") / "images" / "rocket.png").convert("RGB").resize((64, 64))
    found = round_trip(codec, image)
    assert 15 < found.psnr < 40
    assert found.worst[0].psnr < found.psnr
    assert found.kept is not None
    assert 0.1 < found.kept < 1.2
    assert found.restored.size == (64, 64)
    sheet = found.sheet("rocket.png")
    assert sheet.width > 3 * 64
    frame = sheet.crop((0, 0, 256, sheet.height)).convert("RGB")
    assert (220, 30, 60) in {colour for _, colour in frame.getcolors(1 << 20) or []}
