"""Latents one by one: from the cache, else made then and there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d

from simpletuner.core.batch import Latents
from simpletuner.core.errors import DataError
from simpletuner.core.events import Event
from simpletuner.core.samples import SampleId
from simpletuner.data.cache import TensorStore
from simpletuner.data.captions import CaptionSpec
from simpletuner.data.geometry import GeometrySpec
from simpletuner.data.ondemand import LatentsOnDemand
from simpletuner.data.scan import ScanSpec, scan
from simpletuner.data.sources import FolderSource


class MeanCodec:
    """A small real codec: 8x8 means of the three colours and their sum."""

    def __init__(self, factor: float = 1.0) -> None:
        self.calls = 0
        self.factor = factor

    def fingerprint(self) -> str:
        return f"means {self.factor}"

    def encode(self, pixels: Tensor) -> Latents:
        self.calls += 1
        colours = avg_pool2d(pixels, 8)
        mean = torch.cat((colours, colours.sum(1, keepdim=True)), dim=1) * self.factor
        return Latents(mean, torch.full_like(mean, -4.0))


def ignore(event: Event) -> None:
    del event


def reader(tmp_path: Path, codec: MeanCodec, *, keep: bool = True) -> tuple[LatentsOnDemand, SampleId]:
    folder = tmp_path / "pictures"
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (64, 64), (200, 30, 30)).save(folder / "red.png")
    geometry = GeometrySpec(64, "pixel", True, "square", 64, 2, None, None, None)
    captions = CaptionSpec("filename", (), False, False, True)
    scanned = scan(ScanSpec("d", str(folder), geometry, captions, "center"), seed=0, emit=ignore)
    source = FolderSource.at(str(folder))
    made = LatentsOnDemand(scanned.entries, source, TensorStore(tmp_path / "cache"), codec, keep=keep)
    return made, scanned.entries[0].sample


def test_the_second_ask_reads_the_cache(tmp_path: Path) -> None:
    codec = MeanCodec()
    latents, sample = reader(tmp_path, codec)
    first, second = latents(sample), latents(sample)
    assert codec.calls == 1
    assert first.mean.shape == (4, 8, 8)
    assert torch.equal(first.mean, second.mean)


def test_without_keeping_nothing_is_written(tmp_path: Path) -> None:
    codec = MeanCodec()
    latents, sample = reader(tmp_path, codec, keep=False)
    latents(sample)
    latents(sample)
    latents.close()
    assert codec.calls == 2
    assert not (tmp_path / "cache").exists()


def test_another_codec_never_gets_this_ones_latents(tmp_path: Path) -> None:
    one, two = (latents(sample).mean for latents, sample in (reader(tmp_path, MeanCodec(by)) for by in (1.0, 2.0)))
    assert torch.allclose(one * 2, two)


def test_a_latent_that_is_not_finite_names_the_picture(tmp_path: Path) -> None:
    latents, sample = reader(tmp_path, MeanCodec(float("inf")))
    with pytest.raises(DataError, match=r"d/red\.png"):
        latents(sample)
