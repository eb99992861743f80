"""Latents one by one: from the cache, else made then and there."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save
from torch import Tensor
from torch.nn.functional import avg_pool2d

from simpletuner.core.batch import Latents
from simpletuner.core.errors import NonFiniteError
from simpletuner.core.samples import SampleId
from simpletuner.data.cache.crew import FillSettings
from simpletuner.data.cache.fill import LatentCache, fill_latents
from simpletuner.data.cache.ondemand import LatentsOnDemand
from simpletuner.data.cache.store import TensorStore
from simpletuner.data.entries import Entry, PictureError
from simpletuner.data.files.digests import Digests
from simpletuner.data.places.crops import Crop
from simpletuner.data.places.geometry import Placement, Size
from simpletuner.data.sources.folder import FolderSource

RED, BLUE = (200, 30, 30), (30, 30, 200)
SQUARE = Placement("1.0", Size(64, 64), Size(64, 64))


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


class Room:
    """A folder of one-coloured pictures and its cache."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "set"
        self.folder.mkdir()
        self.store = TensorStore(folder / "cache")
        self.paint("red.png", RED)

    def paint(self, name: str, colour: tuple[int, int, int], edge: int = 64) -> Entry:
        Image.new("RGB", (edge, edge), colour).save(self.folder / name)
        return self.entry(name)

    def entry(self, name: str = "red.png") -> Entry:
        return Entry(SampleId("d", name), 64, 64, ("a",), SQUARE, Crop(0, 0))

    def reader(self, codec: MeanCodec, digests: Digests | None = None, *, keep: bool = True) -> LatentsOnDemand:
        source = FolderSource.at(str(self.folder))
        return LatentsOnDemand(source, digests or Digests({}), self.store, codec, keep=keep)


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def test_the_second_ask_reads_the_cache(room: Room) -> None:
    codec, digests = MeanCodec(), Digests({})
    latents = room.reader(codec, digests)
    first, second = latents(room.entry()), latents(room.entry())
    assert codec.calls == 1
    assert first.mean.shape == (4, 8, 8)
    assert torch.equal(first.mean, second.mean)
    assert digests.learned.keys() == {"red.png"}


def test_without_keeping_nothing_is_written(room: Room) -> None:
    codec = MeanCodec()
    latents = room.reader(codec, keep=False)
    assert torch.equal(latents(room.entry()).mean, latents(room.entry()).mean)
    assert codec.calls == 2
    assert not room.store.folder.exists()


def test_without_keeping_what_is_there_is_read(room: Room) -> None:
    room.reader(MeanCodec())(room.entry())
    codec = MeanCodec()
    room.reader(codec, keep=False)(room.entry())
    assert codec.calls == 0


def test_another_codec_never_gets_this_ones_latents(room: Room) -> None:
    one, two = (room.reader(MeanCodec(by))(room.entry()).mean for by in (1.0, 2.0))
    assert torch.allclose(one * 2, two)


def test_each_window_of_a_picture_is_another_latent(room: Room) -> None:
    codec = MeanCodec()
    latents = room.reader(codec)
    wide = Placement("1.0", Size(64, 64), Size(80, 64))
    for left in (0, 5, 0):
        latents(Entry(SampleId("d", "red.png"), 64, 64, ("a",), wide, Crop(left, 0)))
    assert codec.calls == 2


def test_a_latent_that_is_not_finite_names_the_picture(room: Room) -> None:
    with pytest.raises(NonFiniteError, match=r"d/red\.png: the VAE gives a non-finite latent"):
        room.reader(MeanCodec(float("inf")))(room.entry())
    assert room.store.keys() == frozenset()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("part", ["mean", "logvar"])
def test_a_latent_in_the_cache_that_is_not_finite_is_made_again(room: Room, part: str, bad: float) -> None:
    expected = room.reader(MeanCodec())(room.entry())
    (key,) = room.store.keys()
    tensors = {"mean": expected.mean.clone(), "logvar": expected.logvar.clone()}
    tensors[part][0, 0, 0] = bad
    room.store.write(key, tensors, {"sample": "d/red.png"})
    codec = MeanCodec()
    latents = room.reader(codec)
    for _ in range(2):
        assert torch.equal(latents(room.entry()).mean, expected.mean)
        assert torch.equal(latents(room.entry()).logvar, expected.logvar)
    assert codec.calls == 1


def test_a_picture_that_cannot_be_decoded_is_named(room: Room) -> None:
    (room.folder / "red.png").write_bytes(b"no picture")
    with pytest.raises(PictureError, match=r"d/red\.png: not a readable picture"):
        room.reader(MeanCodec())(room.entry())


def test_a_file_that_changes_during_the_run_does_not_change_the_run(room: Room) -> None:
    latents = room.reader(MeanCodec())
    red = latents(room.entry()).mean
    room.paint("red.png", BLUE)
    assert torch.equal(latents(room.entry()).mean, red)
    (room.folder / "red.png").unlink()
    assert torch.equal(latents(room.entry()).mean, red)


@pytest.mark.parametrize("keep", [True, False])
def test_a_changed_file_whose_latent_is_gone_ends_the_run(room: Room, *, keep: bool) -> None:
    """And what is made of the new file never lies under the key of the old one."""
    latents = room.reader(MeanCodec(), keep=keep)
    latents(room.entry())
    for key in sorted(room.store.keys()):
        room.store.remove(key)
    room.paint("red.png", BLUE)
    with pytest.raises(PictureError, match=r"d/red\.png: its bytes changed"):
        latents(room.entry())
    assert room.store.keys() == frozenset()
    again = room.reader(MeanCodec())(room.entry()).mean
    assert again[2, 0, 0] > again[0, 0, 0], "the next run trains on blue"


def test_threads_may_share_it(room: Room) -> None:
    entries = [room.paint(f"{number}.png", (number, 0, 0)) for number in range(12)]
    latents = room.reader(codec := MeanCodec())
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(latents, entries * 4))
    for number, made in enumerate(found):
        assert float(made.mean[0, 0, 0]) == pytest.approx((number % 12) / 127.5 - 1)
    assert 12 <= codec.calls <= 48
    assert len(room.store.keys()) == 12


def damage(content: bytes, kind: int, draw: random.Random) -> bytes:
    """One of: a flipped bit anywhere, a cut anywhere, nothing left, foreign tensors, zeros at the end."""
    match kind:
        case 0 | 1 | 2:
            place = draw.randrange(len(content))
            return content[:place] + bytes([content[place] ^ 1 << draw.randrange(8)]) + content[place + 1 :]
        case 3 | 4:
            return content[: draw.randrange(len(content))]
        case 5:
            return b""
        case 6:
            return save({"mean": torch.full((4, 8, 8), 9.0), "logvar": torch.zeros(4, 8, 8)}, {"sample": "other"})
        case _:
            return content + bytes(draw.randrange(1, 9))


def test_a_thousand_damages_are_all_seen_and_mended_to_the_same_bytes(room: Room) -> None:
    draw = random.Random(4)
    entries = [room.paint(f"{number}.png", (number * 9, 0, 255 - number)) for number in range(20)]
    codec, digests = MeanCodec(), Digests({})
    source = FolderSource.at(str(room.folder))
    fill_latents(entries, LatentCache(source, digests, room.store, codec), FillSettings(4), lambda _: None, "d")
    whole = {key: room.store.path(key).read_bytes() for key in sorted(room.store.keys())}
    samples = {str((room.store.facts(key) or {})["sample"]): key for key in whole}
    latents = room.reader(codec, digests)
    sound = {entry: latents(entry).mean for entry in entries}
    codec.calls = 0
    for number in range(1000):
        entry = draw.choice(entries)
        key = samples[str(entry.sample)]
        kind = number % 9
        # The last kind is the sound entry of another picture under this one's name.
        other = whole[draw.choice([name for name in whole if name != key])]
        room.store.path(key).write_bytes(other if kind == 8 else damage(whole[key], kind, draw))
        assert torch.equal(latents(entry).mean, sound[entry])
        assert room.store.path(key).read_bytes() == whole[key]
    assert room.store.damaged == codec.calls == 1000
