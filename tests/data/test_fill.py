from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from simpletuner.core.batch import Latents
from simpletuner.core.events import StageProgress
from simpletuner.core.samples import SampleId
from simpletuner.data import digests
from simpletuner.data.cache import TensorStore
from simpletuner.data.captions import CaptionSpec
from simpletuner.data.entries import ScannedDataset
from simpletuner.data.fill import LatentIndex, fill_latents, read_latents
from simpletuner.data.geometry import GeometrySpec
from simpletuner.data.images import open_rgb, resize_and_crop
from simpletuner.data.pixels import to_tensor
from simpletuner.data.scan import ScanSpec, scan
from simpletuner.data.sources import FolderSource


class Pooling:
    """A real small codec: means of 8x8 pixels. Keeps the shapes that it was given."""

    def __init__(self, name: str = "pooling") -> None:
        self.name = name
        self.shapes: list[tuple[int, ...]] = []

    def fingerprint(self) -> str:
        return self.name

    def encode(self, pixels: Tensor) -> Latents:
        self.shapes.append(tuple(pixels.shape))
        mean = torch.nn.functional.avg_pool2d(pixels, 8)
        return Latents(mean, mean.abs().clamp_min(1e-6).log())


class Room:
    """A folder of pictures, its cache, and how often a picture was read."""

    def __init__(self, folder: Path, pictures: Any, heard: Any) -> None:
        self.folder = folder
        self.heard = heard
        self.store = TensorStore(folder.parent / "cache")
        for number in range(5):
            pictures.write(folder / f"square{number}.png", 70, 64, shift=number * 20)
        for number in range(2):
            pictures.write(folder / f"wide{number}.png", 150, 100, shift=number * 20)

    def scan(self, **options: Any) -> ScannedDataset:
        spec = ScanSpec("set", str(self.folder), GeometrySpec(64, alignment=16), CaptionSpec(), **options)
        return scan(spec, seed=1, emit=lambda _: None)

    def fill(self, codec: Any, scanned: ScannedDataset | None = None, batch_size: int = 2) -> LatentIndex:
        source = FolderSource.at(str(self.folder))
        return fill_latents(scanned or self.scan(), source, self.store, codec, batch_size, self.heard)


@pytest.fixture
def room(tmp_path: Path, pictures: Any, heard: Any, monkeypatch: pytest.MonkeyPatch) -> Room:
    monkeypatch.setattr(digests, "_SETTLED_SECONDS", -1.0)
    return Room(tmp_path / "set", pictures, heard)


def test_every_picture_gets_the_latent_of_its_window(room: Room) -> None:
    codec, scanned = Pooling(), room.scan()
    index = room.fill(codec, scanned)
    assert (index.encoded, index.reused, index.dropped) == (7, 0, ())
    for entry in scanned.entries:
        found = read_latents(room.store, index.keys[entry.sample])
        assert found is not None
        image = open_rgb((room.folder / entry.sample.path).read_bytes())
        expected = codec.encode(to_tensor(resize_and_crop(image, entry.placement, entry.crop))[None])
        assert torch.allclose(found.mean, expected.mean[0], atol=1e-6)
        assert torch.allclose(found.logvar, expected.logvar[0], atol=1e-4)


def test_pictures_of_one_size_are_encoded_together(room: Room) -> None:
    codec = Pooling()
    room.fill(codec)
    assert sorted(codec.shapes) == [(1, 3, 64, 64), (2, 3, 48, 80), (2, 3, 64, 64), (2, 3, 64, 64)]
    assert room.heard == [StageProgress("init_vae_cache", "VAE cache progress (set)", done, 7) for done in (4, 7)]


def test_a_second_start_encodes_and_reads_nothing(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    first = room.fill(Pooling())
    codec = Pooling()
    reads: list[str] = []
    monkeypatch.setattr(FolderSource, "read", lambda _self, path: reads.append(path))
    again = room.fill(codec)
    assert (again.keys, again.encoded, again.reused) == (first.keys, 0, 7)
    assert codec.shapes == []
    assert reads == []


def test_another_codec_crop_or_content_is_another_entry(room: Room, pictures: Any) -> None:
    first = room.fill(Pooling())
    assert room.fill(Pooling("other")).encoded == 7
    assert room.fill(Pooling(), room.scan(crop_style="corner")).encoded > 0
    pictures.write(room.folder / "square0.png", 70, 64, shift=99)
    changed = room.fill(Pooling())
    assert (changed.encoded, changed.reused) == (1, 6)
    sample = SampleId("set", "square0.png")
    assert changed.keys[sample] != first.keys[sample]


def test_a_damaged_entry_is_made_again(room: Room) -> None:
    first = room.fill(Pooling())
    path = room.store.path(next(iter(first.keys.values())))
    path.write_bytes(path.read_bytes()[:-5])
    again = room.fill(Pooling())
    assert (again.encoded, again.reused, room.store.damaged) == (1, 6, 1)
    assert again.keys == first.keys


def test_a_moved_folder_is_read_but_not_encoded(room: Room) -> None:
    room.fill(Pooling())
    room.folder = room.folder.rename(room.folder.with_name("moved"))
    codec = Pooling()
    assert room.fill(codec, room.scan(crop_style="random")).reused == 7
    assert codec.shapes == []


def test_a_picture_that_breaks_after_the_scan_is_dropped_and_the_rest_kept(room: Room, pictures: Any) -> None:
    scanned = room.scan()
    path = room.folder / "square1.png"
    path.write_bytes(path.read_bytes()[:-40])
    (room.folder / "square2.png").unlink()
    pictures.write(room.folder / "square3.png", 65, 64)
    index = room.fill(Pooling(), scanned)
    assert index.encoded == 4
    reasons = {item.file: item.reason for item in index.dropped}
    assert "decoded" in reasons["square1.png"]
    assert "cannot be read" in reasons["square2.png"]
    assert "65x64 now" in reasons["square3.png"]
    assert all(item.cure for item in index.dropped)


def test_a_non_finite_latent_is_dropped_and_not_stored(room: Room) -> None:
    class Overflowing(Pooling):
        def encode(self, pixels: Tensor) -> Latents:
            latents = super().encode(pixels)
            latents.mean[0, 0, 0, 0] = float("nan")
            return latents

    index = room.fill(Overflowing(), batch_size=8)
    assert (index.encoded, len(index.dropped)) == (5, 2)
    assert all("non-finite" in item.reason for item in index.dropped)
    assert len(list(room.store.folder.rglob("*.safetensors"))) == 5


def test_what_was_done_before_an_interruption_is_kept(room: Room) -> None:
    class Interrupted(Pooling):
        def encode(self, pixels: Tensor) -> Latents:
            if len(self.shapes) == 2:
                raise KeyboardInterrupt
            return super().encode(pixels)

    with pytest.raises(KeyboardInterrupt):
        room.fill(Interrupted())
    again = room.fill(Pooling())
    assert (again.encoded, again.reused) == (3, 4)


def test_equal_pictures_share_one_entry(room: Room, pictures: Any) -> None:
    copy = room.folder / "copy.png"
    copy.write_bytes((room.folder / "wide0.png").read_bytes())
    scanned = room.scan(crop_style="center")
    index = room.fill(Pooling(), scanned)
    assert index.keys[SampleId("set", "copy.png")] == index.keys[SampleId("set", "wide0.png")]
    assert len(index.keys) == 8
    assert len(list(room.store.folder.rglob("*.safetensors"))) == 7


def test_a_real_autoencoder(room: Room) -> None:
    torch.manual_seed(0)
    blocks = 4
    vae = AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * blocks,
        up_block_types=["UpDecoderBlock2D"] * blocks,
        block_out_channels=[8] * blocks,
        norm_num_groups=4,
        latent_channels=4,
    ).eval()

    class Vae:
        def fingerprint(self) -> str:
            return "tiny"

        @torch.no_grad()
        def encode(self, pixels: Tensor) -> Latents:
            posterior = vae.encode(pixels).latent_dist
            return Latents(posterior.mean, posterior.logvar)

    index = room.fill(Vae())
    latents = read_latents(room.store, index.keys[SampleId("set", "wide0.png")])
    assert latents is not None
    assert latents.mean.shape == latents.logvar.shape == (4, 6, 10)
    assert latents.mean.dtype == torch.float32


def test_the_order_of_entries_does_not_matter(room: Room) -> None:
    scanned = room.scan()
    forwards = room.fill(Pooling(), scanned)
    backwards = room.fill(Pooling(), dataclasses.replace(scanned, entries=scanned.entries[::-1]))
    assert backwards.keys == forwards.keys
    assert backwards.reused == 7
