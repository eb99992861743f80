from __future__ import annotations

import dataclasses
import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from simpletuner.core.batch import Latents
from simpletuner.core.events import Event, Notice, StageProgress
from simpletuner.core.samples import SampleId
from simpletuner.data.cache import keys as cache_keys
from simpletuner.data.cache import latents as latents_module
from simpletuner.data.cache.crew import FillSettings
from simpletuner.data.cache.fill import Filled, LatentCache, fill_latents
from simpletuner.data.cache.keys import content_digest
from simpletuner.data.cache.latents import LatentStore
from simpletuner.data.cache.pixels import to_tensor
from simpletuner.data.cache.store import TensorStore
from simpletuner.data.entries import Entry
from simpletuner.data.files.digests import Digests
from simpletuner.data.files.images import open_rgb, resize_and_crop
from simpletuner.data.places.crops import Crop, CropStyle, plan_crop
from simpletuner.data.places.geometry import GeometrySpec, place
from simpletuner.data.sources.folder import FolderSource

GEOMETRY = GeometrySpec(64, alignment=16)


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


def entries_of(folder: Path, geometry: GeometrySpec = GEOMETRY, style: CropStyle = "random") -> list[Entry]:
    """What a scan gives of a folder."""
    entries = []
    for path in sorted(folder.iterdir()):
        with Image.open(path) as image:
            placement = place(*image.size, geometry)
            crop = plan_crop(placement, style, 1, path.name)
            entries.append(Entry(SampleId("set", path.name), *image.size, ("a",), placement, crop))
    return entries


def known_of(folder: Path) -> dict[str, str]:
    """What an index knows of a folder whose files have all been read."""
    return {path.name: content_digest(path.read_bytes()) for path in folder.iterdir()}


class Room:
    """A folder of pictures and its cache."""

    def __init__(self, folder: Path, pictures: Any, heard: Any) -> None:
        self.folder = folder
        self.heard = heard
        self.store = TensorStore(folder.parent / "cache")
        self.digests = Digests({})
        for number in range(5):
            pictures.write(folder / f"square{number}.png", 70, 64, shift=number * 20)
        for number in range(2):
            pictures.write(folder / f"wide{number}.png", 150, 100, shift=number * 20)

    def entries(self, **options: Any) -> list[Entry]:
        return entries_of(self.folder, **options)

    def fill(self, codec: Any, entries: Sequence[Entry] | None = None, source: Any = None, **how: Any) -> Filled:
        """Fill as a new start does, whose index knows all files that are unchanged."""
        self.digests = Digests(known_of(self.folder) if self.store.keys() else {})
        source = source or FolderSource.at(str(self.folder))
        cache = LatentCache(source, self.digests, self.store, codec)
        settings = FillSettings(**{"batch_size": 2, **how})
        return fill_latents(self.entries() if entries is None else entries, cache, settings, self.heard, "set")

    def key(self, entry: Entry, codec: Any) -> str:
        digest = content_digest((self.folder / entry.sample.path).read_bytes())
        return LatentStore(self.store, codec.fingerprint()).key(entry, digest)

    def latents(self, entry: Entry, codec: Any) -> Latents:
        found = LatentStore(self.store, codec.fingerprint()).read(self.key(entry, codec))
        assert found is not None
        return found

    def contents(self) -> dict[str, bytes]:
        return {key: self.store.path(key).read_bytes() for key in sorted(self.store.keys())}


@pytest.fixture
def room(tmp_path: Path, pictures: Any, heard: Any) -> Room:
    return Room(tmp_path / "set", pictures, heard)


def test_every_picture_gets_the_latent_of_its_window(room: Room) -> None:
    codec, entries = Pooling(), room.entries()
    assert room.fill(codec, entries) == Filled((), encoded=7, reused=0)
    for entry in entries:
        found = room.latents(entry, codec)
        image = open_rgb((room.folder / entry.sample.path).read_bytes())
        expected = codec.encode(to_tensor(resize_and_crop(image, entry.placement, entry.crop))[None])
        assert torch.allclose(found.mean, expected.mean[0], atol=1e-6)
        assert torch.allclose(found.logvar, expected.logvar[0], atol=1e-4)
    assert room.digests.learned.keys() == {entry.sample.path for entry in entries}


def test_an_entry_says_what_it_was_made_of(room: Room) -> None:
    codec, entry = Pooling(), room.entries()[0]
    room.fill(codec)
    digest = content_digest((room.folder / entry.sample.path).read_bytes())
    ingredients = LatentStore(room.store, "pooling").ingredients(entry, digest)
    assert room.store.facts(room.key(entry, codec)) == {"sample": "set/square0.png", **ingredients}


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 8])
def test_pictures_of_one_size_are_encoded_together(room: Room, batch_size: int) -> None:
    codec = Pooling()
    room.fill(codec, batch_size=batch_size)
    # A picture that is left alone is encoded beside its copy, unless each is encoded alone.
    least = min(batch_size, 2)
    for size, count in (((64, 64), 5), ((48, 80), 2)):
        shapes = sorted((shape[0] for shape in codec.shapes if shape[2:] == size), reverse=True)
        full, rest = divmod(count, batch_size)
        assert shapes == [batch_size] * full + ([max(rest, least)] if rest else [])


def test_progress_begins_with_what_is_there_and_ends_whole(room: Room) -> None:
    entries = room.entries()
    room.fill(Pooling(), entries[:3])
    room.heard.clear()
    room.fill(Pooling(), entries)
    assert {(event.stage, event.label, event.total) for event in room.heard} == {
        ("init_vae_cache", "VAE cache progress (set)", 7)
    }
    done = [event.done for event in room.heard]
    assert done == sorted(set(done))
    assert done[0] >= 3
    assert done[-1] == 7
    room.heard.clear()
    room.fill(Pooling(), entries)
    assert room.heard == [StageProgress("init_vae_cache", "VAE cache progress (set)", 7, 7)]


def test_nothing_to_do_is_nothing_told(room: Room) -> None:
    assert room.fill(Pooling(), []) == Filled((), 0, 0)
    assert room.heard == []


@dataclasses.dataclass(frozen=True)
class Counting(FolderSource):
    """Counts what is read."""

    reads: list[str] = dataclasses.field(default_factory=list)

    def read(self, path: str) -> bytes:
        self.reads.append(path)
        return super().read(path)


def counting(folder: Path) -> Counting:
    source = FolderSource.at(str(folder))
    return Counting(source.filesystem, source.root)


def test_a_second_start_opens_neither_pictures_nor_entries(room: Room) -> None:
    room.fill(Pooling())
    for key in sorted(room.store.keys()):
        room.store.path(key).write_bytes(b"no entry")
    codec, source = Pooling(), counting(room.folder)
    assert room.fill(codec, source=source) == Filled((), 0, reused=7)
    assert (codec.shapes, source.reads, room.store.damaged) == ([], [], 0)


def test_a_start_without_an_index_reads_but_does_not_encode(room: Room) -> None:
    room.fill(Pooling())
    codec, source = Pooling(), counting(room.folder)
    cache = LatentCache(source, Digests({}), room.store, codec)
    assert fill_latents(room.entries(), cache, FillSettings(2), room.heard, "set") == Filled((), 0, reused=7)
    assert codec.shapes == []
    assert sorted(source.reads) == sorted(cache.digests.learned) == [entry.sample.path for entry in room.entries()]


# --- the mutation table: what is changed, and which of the seven pictures it concerns


def change_bytes(folder: Path, entry: Entry) -> Entry:
    pixels = np.array(Image.open(folder / entry.sample.path))
    pixels[0, 0, 0] ^= 1
    Image.fromarray(pixels).save(folder / entry.sample.path)
    return entry


def change_left(_folder: Path, entry: Entry) -> Entry:
    return dataclasses.replace(entry, crop=Crop((entry.crop.left + 1) % 7, entry.crop.top))


def change_top(_folder: Path, entry: Entry) -> Entry:
    return dataclasses.replace(entry, crop=Crop(entry.crop.left, (entry.crop.top + 1) % 6))


def change_target(_folder: Path, entry: Entry) -> Entry:
    target = dataclasses.replace(entry.placement.target, width=48)
    return dataclasses.replace(entry, placement=dataclasses.replace(entry.placement, target=target))


def change_intermediary(_folder: Path, entry: Entry) -> Entry:
    whole = dataclasses.replace(entry.placement.intermediary, width=72)
    return dataclasses.replace(entry, placement=dataclasses.replace(entry.placement, intermediary=whole))


def change_resolution(_folder: Path, entry: Entry) -> Entry:
    placement = place(entry.width, entry.height, dataclasses.replace(GEOMETRY, resolution=96))
    return dataclasses.replace(entry, placement=placement)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (change_bytes, "square1.png"),
        (change_left, "square1.png"),
        (change_top, "wide1.png"),
        (change_target, "wide0.png"),
        (change_intermediary, "square4.png"),
        (change_resolution, "square0.png"),
    ],
)
def test_a_changed_picture_is_encoded_anew_and_no_other(
    room: Room, change: Callable[[Path, Entry], Entry], path: str
) -> None:
    entries = room.entries()
    room.fill(Pooling(), entries)
    before = room.contents()
    changed = [change(room.folder, entry) if entry.sample.path == path else entry for entry in entries]
    assert room.fill(Pooling(), changed) == Filled((), encoded=1, reused=6)
    after = room.contents()
    assert before.items() < after.items()
    (new,) = after.keys() - before.keys()
    facts = room.store.facts(new)
    assert facts is not None
    assert facts["sample"] == f"set/{path}"
    assert room.fill(Pooling(), changed) == Filled((), 0, reused=7)


def test_another_codec_encodes_all_anew(room: Room) -> None:
    room.fill(Pooling())
    assert room.fill(Pooling("other")) == Filled((), encoded=7, reused=0)
    assert room.fill(Pooling()) == Filled((), 0, reused=7)
    assert len(room.store.keys()) == 14


@pytest.mark.parametrize(
    ("module", "name", "value"), [(latents_module, "LATENT_DTYPE", "bfloat16"), (cache_keys, "CODEC_VERSION", 2)]
)
def test_another_dtype_or_version_encodes_all_anew(
    room: Room, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, value: Any
) -> None:
    room.fill(Pooling())
    monkeypatch.setattr(module, name, value)
    assert room.fill(Pooling()) == Filled((), encoded=7, reused=0)


def test_one_folder_at_two_sizes_shares_a_cache(room: Room) -> None:
    """The document's first file: the same pictures at 512 and at 1024."""
    larger = room.entries(geometry=GeometrySpec(128, alignment=16))
    assert room.fill(Pooling(), [*room.entries(), *larger]).encoded == 14
    assert len(room.store.keys()) == 14
    assert room.fill(Pooling(), larger).reused == 7


# --- what goes wrong


def test_a_picture_that_breaks_after_the_scan_is_dropped_and_the_rest_kept(room: Room, pictures: Any) -> None:
    entries = room.entries()
    path = room.folder / "square1.png"
    path.write_bytes(path.read_bytes()[:-40])
    (room.folder / "square2.png").unlink()
    pictures.write(room.folder / "square3.png", 65, 64)
    filled = room.fill(Pooling(), entries)
    assert filled.encoded == 4
    assert [item.file for item in filled.dropped] == ["square1.png", "square2.png", "square3.png"]
    for item, reason in zip(filled.dropped, ("decoded", "cannot be read", "is 65x64"), strict=True):
        assert reason in item.reason
        assert item.cure


def test_a_non_finite_latent_is_dropped_and_not_stored(room: Room) -> None:
    class Overflowing(Pooling):
        def encode(self, pixels: Tensor) -> Latents:
            latents = super().encode(pixels)
            latents.mean[0, 0, 0, 0] = float("nan")
            return latents

    filled = room.fill(Overflowing(), batch_size=8)
    assert (filled.encoded, len(filled.dropped)) == (5, 2)
    assert all("non-finite" in item.reason for item in filled.dropped)
    assert len(room.store.keys()) == 5


def test_memory_that_runs_out_halves_the_batches_and_says_so(room: Room) -> None:
    class Cramped(Pooling):
        def encode(self, pixels: Tensor) -> Latents:
            if len(pixels) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return super().encode(pixels)

    assert room.fill(Cramped("cramped"), batch_size=4) == Filled((), encoded=7, reused=0)
    told = [event.text for event in room.heard if isinstance(event, Notice)]
    assert told == ["set: 4 pictures of 64x64 at once do not fit into memory: 2 at once from here on"]
    for entry in room.entries():
        made = room.latents(entry, Cramped("cramped"))
        image = open_rgb((room.folder / entry.sample.path).read_bytes())
        whole = Pooling().encode(to_tensor(resize_and_crop(image, entry.placement, entry.crop))[None])
        assert torch.equal(made.mean, whole.mean[0])


def test_memory_for_no_picture_ends_the_filling(room: Room) -> None:
    class Full(Pooling):
        def encode(self, pixels: Tensor) -> Latents:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    before = threading.active_count()
    with pytest.raises(torch.OutOfMemoryError):
        room.fill(Full())
    assert threading.active_count() == before


@pytest.mark.parametrize("error", [MemoryError("no more"), RuntimeError("a bug in a codec of pictures")])
def test_what_kills_a_reading_thread_ends_the_filling_with_its_cause(room: Room, error: Exception) -> None:
    class Dying(FolderSource):
        def read(self, path: str) -> bytes:
            if path == "square3.png":
                raise error
            return super().read(path)

    dying = Dying.at(str(room.folder))
    before, began = threading.active_count(), time.monotonic()
    with pytest.raises(type(error), match=str(error)):
        room.fill(Pooling(), source=dying, workers=2)
    assert time.monotonic() - began < 60
    assert threading.active_count() == before


@pytest.mark.parametrize("where", ["encode", "emit"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, torch.OutOfMemoryError])
def test_what_was_done_before_an_interruption_is_kept(room: Room, where: str, error: type[BaseException]) -> None:
    class Interrupted(Pooling):
        def encode(self, pixels: Tensor) -> Latents:
            if where == "encode" and len(self.shapes) == 2:
                raise error
            return super().encode(pixels)

    def emit(event: Event) -> None:
        assert isinstance(event, StageProgress)
        if where == "emit" and event.done == 4:
            raise error

    room.heard = emit
    running = threading.active_count()
    with pytest.raises(error) as caught:
        room.fill(Interrupted(), [entry for entry in room.entries() if "square" in entry.sample.path])
    assert threading.active_count() == running, "also while somebody holds the exception"
    assert caught.tb is not None
    assert len(room.store.keys()) == 4
    assert list(room.store.partials()) == []
    room.heard = lambda _: None
    assert room.fill(Pooling()) == Filled((), encoded=3, reused=4)


def test_a_cache_that_cannot_be_written_is_an_os_error(room: Room) -> None:
    room.store = TensorStore(room.folder / "square0.png")
    running = threading.active_count()
    with pytest.raises(OSError):
        room.fill(Pooling())
    assert threading.active_count() == running


def test_equal_pictures_share_one_entry(room: Room) -> None:
    (room.folder / "copy.png").write_bytes((room.folder / "wide0.png").read_bytes())
    filled = room.fill(Pooling(), room.entries(style="center"))
    assert filled.encoded + filled.reused == 8
    assert len(room.store.keys()) == 7


# --- overlap, and the bound on memory


def test_reading_goes_on_while_a_batch_is_encoded(room: Room) -> None:
    source = counting(room.folder)

    class Waiting(Pooling):
        def encode(self, pixels: Tensor) -> Latents:
            wanted, give_up = min(2 * len(self.shapes) + 4, 7), time.monotonic() + 20
            while len(source.reads) < wanted:
                assert time.monotonic() < give_up, "nothing is read while the codec works"
                time.sleep(0.001)
            return super().encode(pixels)

    assert room.fill(Waiting(), source=source).encoded == 7


@pytest.mark.parametrize(("read_ahead", "most"), [(1, 4), (4, 4), (6, 6), (25, 25)])
def test_no_more_pictures_are_in_memory_than_allowed(room: Room, pictures: Any, read_ahead: int, most: int) -> None:
    for number in range(30):
        pictures.write(room.folder / f"more{number}.png", 64, 64, shift=number)
    source = counting(room.folder)
    met: list[int] = []

    class Slow(Pooling):
        def encode(self, pixels: Tensor) -> Latents:
            time.sleep(0.01)
            met.append(len(source.reads) - 2 * len(self.shapes))
            return super().encode(pixels)

    assert room.fill(Slow(), source=source, read_ahead=read_ahead, workers=8).encoded == 37
    # A batch of a size that has run out is shorter, twice.
    assert max(met) <= most + 2
    assert max(met) > most / 2


# --- several batches at the same time


@pytest.fixture
def own_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


class Meeting(Pooling):
    """Encodes when somebody else does too, for the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.both = threading.Barrier(2, timeout=20)
        self.calls = itertools.count()

    def encode(self, pixels: Tensor) -> Latents:
        if next(self.calls) < 2:
            self.both.wait()
        return super().encode(pixels)


@pytest.mark.usefixtures("own_threads")
def test_small_batches_are_encoded_side_by_side_on_a_cpu_and_give_the_same_bytes(room: Room) -> None:
    assert room.fill(Pooling(), batch_size=2) == Filled((), encoded=7, reused=0)
    one_after_another = room.contents()
    for key in one_after_another:
        room.store.remove(key)
    running = threading.active_count()
    assert room.fill(Meeting(), batch_size=2, threads=2) == Filled((), encoded=7, reused=0)
    assert room.contents() == one_after_another
    told = [event for event in room.heard if isinstance(event, StageProgress)]
    assert (told[-1].done, told[-1].total) == (7, 7)
    assert threading.active_count() == running


@pytest.mark.usefixtures("own_threads")
def test_large_batches_are_encoded_one_after_another_on_a_cpu_too(room: Room) -> None:
    at_once, most = threading.Semaphore(1), 1 << 20

    class Alone(Pooling):
        def encode(self, pixels: Tensor) -> Latents:
            assert at_once.acquire(blocking=False)
            time.sleep(0.01)
            at_once.release()
            return super().encode(pixels)

    large = room.entries(geometry=GeometrySpec(512, alignment=16))
    assert all(entry.placement.target.width * entry.placement.target.height * 4 > most / 2 for entry in large)
    assert room.fill(Alone(), large, batch_size=4, threads=8).encoded == 7


@pytest.mark.usefixtures("own_threads")
@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), ValueError("a bug")])
def test_what_ends_one_of_several_batches_ends_the_filling_and_keeps_the_others(room: Room, error: Exception) -> None:
    class Dying(Pooling):
        def encode(self, pixels: Tensor) -> Latents:
            if pixels.shape[2:] == (48, 80):
                raise error
            return super().encode(pixels)

    running = threading.active_count()
    with pytest.raises(type(error), match=str(error)):
        room.fill(Dying(), threads=2)
    assert threading.active_count() == running
    assert list(room.store.partials()) == []
    there = len(room.store.keys())
    assert room.fill(Pooling(), threads=2) == Filled((), encoded=7 - there, reused=there)


@pytest.mark.usefixtures("own_threads")
def test_of_several_batches_what_cannot_be_used_is_dropped(room: Room) -> None:
    class Overflowing(Pooling):
        def encode(self, pixels: Tensor) -> Latents:
            latents = super().encode(pixels)
            latents.mean[0, 0, 0, 0] = float("nan")
            return latents

    filled = room.fill(Overflowing(), threads=2)
    assert (filled.encoded, len(filled.dropped)) == (3, 4)


# --- several processes


@pytest.mark.parametrize("ranks", [2, 3, 11])
def test_ranks_divide_the_work(room: Room, ranks: int) -> None:
    filled = [room.fill(Pooling(), ranks=ranks, rank=rank) for rank in range(ranks)]
    assert sum(made.encoded for made in filled) == 7
    assert sum(made.reused for made in filled) == 0
    assert sum(room.fill(Pooling(), ranks=ranks, rank=rank).reused for rank in range(ranks)) == 7


def test_a_rank_has_all_sizes_of_a_picture(room: Room) -> None:
    both = [*room.entries(), *room.entries(geometry=GeometrySpec(128, alignment=16))]
    for rank in range(2):
        source = counting(room.folder)
        filled = room.fill(Pooling(), both, source=source, ranks=2, rank=rank)
        assert filled.encoded == len(source.reads) == 2 * len(set(source.reads))


def test_what_another_process_makes_meanwhile_is_passed_over(room: Room) -> None:
    class Overtaken(Pooling):
        def encode(self, pixels: Tensor) -> Latents:
            if not self.shapes:
                room_of_the_other.fill(Pooling(), room.entries())
            return super().encode(pixels)

    room_of_the_other = Room.__new__(Room)
    room_of_the_other.__dict__.update(room.__dict__, store=TensorStore(room.store.folder))
    filled = room.fill(Overtaken(), room.entries())
    assert (filled.encoded, filled.reused) == (2, 5)


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def many(folder: Path, count: int) -> None:
    """Noise, so that no two pictures are equal, of two sizes."""
    folder.mkdir()
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 256, (64, 64 + 32 * (number % 2), 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{number:03}.png")


def read_soundly(folder: Path, cache: Path) -> int:
    """The entries of a whole cache; each must be the latent that a single process makes."""
    store, codec, alone = TensorStore(cache), Pooling(), TensorStore(cache.with_name("alone"))
    digests = Digests(known_of(folder))
    for target in (store, alone):
        at = LatentCache(FolderSource.at(str(folder)), digests, target, codec)
        fill_latents(entries_of(folder), at, FillSettings(4), lambda _: None, "set")
    assert store.keys() == alone.keys()
    assert all(store.path(key).read_bytes() == alone.path(key).read_bytes() for key in sorted(alone.keys()))
    return len(alone.keys())


def test_two_processes_fill_one_cache(tmp_path: Path) -> None:
    folder, cache = tmp_path / "set", tmp_path / "cache"
    many(folder, 60)
    helpers = [start("fill", folder, cache) for _ in range(2)]
    for helper in helpers:
        assert helper.stdout is not None
        assert helper.stdout.readline() == "ready\n"
    for helper in helpers:
        assert helper.stdin is not None
        helper.stdin.write("go\n")
        helper.stdin.flush()
    told = [helper.communicate() for helper in helpers]
    assert [helper.returncode for helper in helpers] == [0, 0]
    encoded = [int(out) for out, _ in told]
    assert 60 <= sum(encoded) <= 110, "neither did the whole work"
    assert list(TensorStore(cache).partials()) == []
    assert len(TensorStore(cache).keys()) == 60
    assert read_soundly(folder, cache) == 60


def test_a_filling_killed_at_any_moment_can_be_finished(tmp_path: Path) -> None:
    folder, cache = tmp_path / "set", tmp_path / "cache"
    many(folder, 60)
    killer = start("killed", folder, cache)
    told, _ = killer.communicate("go\n")
    assert killer.returncode == 0
    counts = [int(count) for count in told.split()[1:]]
    assert len(counts) == 10
    assert counts == sorted(counts), "what is done is kept"
    assert counts[-1] > 0, "some lived long enough"
    store = TensorStore(cache)
    assert all(store.read(key) is not None for key in sorted(store.keys()))
    assert read_soundly(folder, cache) == 60
    assert store.damaged == 0


class Patient(Pooling):
    """Takes its time, so that two processes work at the same time and a kill meets the middle."""

    def encode(self, pixels: Tensor) -> Latents:
        time.sleep(0.01)
        return super().encode(pixels)


def fill_alone(folder: Path, cache: Path) -> Filled:
    at = LatentCache(FolderSource.at(str(folder)), Digests({}), TensorStore(cache), Patient())
    return fill_latents(entries_of(folder), at, FillSettings(2), lambda _: None, "set")


def be_killed(folder: Path, cache: Path) -> None:
    """Fork, so that torch is imported once, and kill the child after a while, ten times."""
    store = TensorStore(cache)
    for number in range(10):
        before = len(store.keys())
        child = os.fork()
        if not child:
            fill_alone(folder, cache)
            os._exit(0)
        while number % 2 and len(store.keys()) == before < 60:
            time.sleep(0.001)
        time.sleep(random.Random(number).uniform(0.0, 0.05))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        tell(len(store.keys()))


def tell(said: object) -> None:
    sys.stdout.write(f"{said}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    torch.set_num_threads(1)
    tell("ready")
    sys.stdin.readline()
    if sys.argv[1] == "fill":
        tell(fill_alone(Path(sys.argv[2]), Path(sys.argv[3])).encoded)
    else:
        be_killed(Path(sys.argv[2]), Path(sys.argv[3]))
