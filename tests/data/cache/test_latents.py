from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from simpletuner.core.batch import Latents
from simpletuner.core.samples import SampleId
from simpletuner.data.cache.keys import LATENT_DTYPE, latent_ingredients, latent_key
from simpletuner.data.cache.latents import LatentStore, Sparing, encode, is_finite, side_by_side, steady
from simpletuner.data.cache.store import TensorStore
from simpletuner.data.entries import Entry
from simpletuner.data.places.crops import Crop
from simpletuner.data.places.geometry import Placement, Size

ENTRY = Entry(SampleId("set", "a.png"), 32, 16, ("a",), Placement("1.0", Size(16, 16), Size(32, 16)), Crop(4, 0))


class Vae:
    """diffusers' own, as small as it gets. Keeps how many pictures it was given."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        blocks = 4
        self.counts: list[int] = []
        self.vae: Any = AutoencoderKL(
            down_block_types=["DownEncoderBlock2D"] * blocks,
            up_block_types=["UpDecoderBlock2D"] * blocks,
            block_out_channels=[8] * blocks,
            norm_num_groups=4,
            latent_channels=4,
        ).eval()

    def fingerprint(self) -> str:
        return "tiny"

    def encode(self, pixels: Tensor) -> Latents:
        self.counts.append(len(pixels))
        posterior = self.vae.encode(pixels).latent_dist
        return Latents(posterior.mean, posterior.logvar)


@pytest.fixture(scope="module")
def pixels() -> Tensor:
    return torch.randn(5, 3, 64, 48, generator=torch.Generator().manual_seed(1))


def test_encoded_pictures_are_plain_tensors(pixels: Tensor) -> None:
    made = encode(Vae(), list(pixels))
    assert len(made) == 5
    for latents in made:
        assert latents.mean.shape == latents.logvar.shape == (4, 8, 6)
        assert latents.mean.dtype == latents.logvar.dtype == torch.float32
        assert not latents.mean.requires_grad


def test_half_precision_is_kept_as_float(pixels: Tensor) -> None:
    class Half(Vae):
        def encode(self, pixels: Tensor) -> Latents:
            made = super().encode(pixels)
            return Latents(made.mean.half(), made.logvar.half())

    assert encode(Half(), list(pixels[:1]))[0].logvar.dtype == torch.float32


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_a_latent_does_not_depend_on_its_company(pixels: Tensor, batch_size: int) -> None:
    """To the last bit: what is made again of a damaged entry is what it was."""
    vae = Vae()
    codec = steady(vae, batch_size)
    assert codec.fingerprint() == "tiny"
    whole = [made for start in range(0, 5, batch_size) for made in encode(codec, list(pixels[start:][:batch_size]))]
    for number in range(5):
        (alone,) = encode(codec, [pixels[number]])
        assert torch.equal(alone.mean, whole[number].mean)
        assert torch.equal(alone.logvar, whole[number].logvar)
    assert (1 in vae.counts) is (batch_size == 1), "who encodes one by one pays for one"


@pytest.mark.parametrize(
    ("edge", "batch_size", "threads", "batches"),
    [
        (64, 4, 1, 1),
        (64, 4, 2, 2),
        (64, 4, 16, 16),
        (256, 4, 16, 4),
        (512, 4, 16, 1),
        (512, 1, 16, 4),
        (1024, 1, 16, 1),
        (4096, 8, 2, 1),
    ],
)
def test_batches_beside_each_other_have_no_more_pixels_than_a_large_picture(
    edge: int, batch_size: int, threads: int, batches: int
) -> None:
    assert side_by_side(edge * edge, batch_size, threads) == batches


@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_latent_does_not_depend_on_what_is_encoded_meanwhile(pixels: Tensor, batch_size: int) -> None:
    codec, threads = steady(Vae(), batch_size, 2), torch.get_num_threads()
    alone = [encode(codec, [picture])[0] for picture in pixels]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda picture: encode(codec, [picture])[0], list(pixels) * 4))
    for number, made in enumerate(together):
        assert torch.equal(made.mean, alone[number % 5].mean)
        assert torch.equal(made.logvar, alone[number % 5].logvar)
    # What the codec was told to have is given back, to this thread and to new ones.
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == torch.get_num_threads() == 2
    torch.set_num_threads(threads)


def test_operations_leave_cores_to_the_batches_beside() -> None:
    class Telling(Vae):
        def encode(self, pixels: Tensor) -> Latents:
            self.counts.append(torch.get_num_threads())
            return Latents(pixels[:, :1], pixels[:, :1])

    threads, codec = torch.get_num_threads(), Telling()
    torch.set_num_threads(3)
    try:
        for edge in (64, 608, 1024):
            steady(codec, 1, 3).encode(torch.zeros(1, 3, edge, edge))
        assert codec.counts == [1, 1, 3]
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)


def test_a_picture_without_a_number_is_seen() -> None:
    fine = torch.zeros(4, 2, 2)
    for bad in (float("nan"), float("inf")):
        broken = fine.clone()
        broken[3, 1, 1] = bad
        assert is_finite(Latents(fine, fine))
        assert not is_finite(Latents(broken, fine))
        assert not is_finite(Latents(fine, broken))


def test_latents_are_kept_by_picture(tmp_path: Path) -> None:
    store = LatentStore(TensorStore(tmp_path), "vae")
    key = store.key(ENTRY, "digest")
    assert key == latent_key("digest", ENTRY.placement, ENTRY.crop, "vae", LATENT_DTYPE)
    assert store.read(key) is None
    store.write(ENTRY, "digest", Latents(torch.ones(4, 2, 2), torch.zeros(4, 2, 2)))
    found = store.read(key)
    assert found is not None
    assert (found.mean.mean(), found.logvar.mean()) == (1, 0)
    made_of = latent_ingredients("digest", ENTRY.placement, ENTRY.crop, "vae", LATENT_DTYPE)
    assert store.ingredients(ENTRY, "digest") == made_of
    assert store.store.facts(key) == {"sample": "set/a.png", **made_of}


class Cramped(Vae):
    """Has memory for ``most`` pictures at once."""

    most = 2

    def encode(self, pixels: Tensor) -> Latents:
        if len(pixels) > self.most:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
        return super().encode(pixels)


@pytest.mark.parametrize(("most", "fits", "counts"), [(2, 2, [2, 2, 2]), (3, 3, [3, 2]), (4, 3, [3, 2])])
def test_a_batch_without_memory_is_halved_once_and_gives_the_same_bits(
    pixels: Tensor, most: int, fits: int, counts: list[int]
) -> None:
    told: list[str] = []
    cramped = Cramped()
    cramped.most = most
    sparing = Sparing(steady(cramped, 5), told.append)
    expected = encode(steady(Vae(), 5), list(pixels))
    for _ in range(2):
        cramped.counts.clear()
        found = encode(sparing, list(pixels))
        assert all(torch.equal(one.mean, other.mean) for one, other in zip(found, expected, strict=True))
        assert all(torch.equal(one.logvar, other.logvar) for one, other in zip(found, expected, strict=True))
    assert cramped.counts == counts
    assert told[-1].endswith(f"of 48x64 at once do not fit into memory: {fits} at once from here on")
    assert len(told) == (2 if most == 2 else 1)
    assert sparing.fingerprint() == "tiny"


def test_one_picture_without_memory_is_an_error(pixels: Tensor) -> None:
    cramped = Cramped()
    cramped.most = 0
    with pytest.raises(RuntimeError, match="can't allocate"):
        Sparing(cramped, lambda text: None).encode(pixels)


def test_an_error_of_another_kind_splits_nothing(pixels: Tensor) -> None:
    class Broken(Vae):
        def encode(self, pixels: Tensor) -> Latents:
            self.counts.append(len(pixels))
            raise RuntimeError("size mismatch")

    broken = Broken()
    with pytest.raises(RuntimeError, match="size mismatch"):
        Sparing(broken, lambda text: None).encode(pixels)
    assert broken.counts == [5]
