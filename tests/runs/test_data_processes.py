"""Several processes at one cache, and processes that are killed: every entry is there, once and sound."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file

from simpletuner.data.cache.store import TensorStore
from tests.runs.conftest import Train
from tests.runs.data_words import command, dataloader, dataset, entries, facts, folder, samples

COUNT = 60
SIZES = {f"{place:02}.png": ((64, 64), (96, 64), (64, 96))[place % 3] for place in range(COUNT)}
SLOW = "vae_batch_size=1"
LAUNCH = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2")

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(train: Train) -> Iterator[Start]:
    """Starts a command in a process of its own, over a folder of small pictures."""
    folder("pictures", SIZES)
    dataloader(dataset(crop=False))
    started: list[subprocess.Popen[str]] = []
    # Tests that a shell started in the background ignore SIGINT, and so would what they start.
    former = signal.signal(signal.SIGINT, signal.default_int_handler)

    def begin(*words: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    signal.signal(signal.SIGINT, former)
    for process in started:
        process.kill()
        process.communicate()


def until(enough: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for something that a process does."""
    end = time.monotonic() + 120
    while not enough():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.005)


def all_sound(where: str = "cache/vae") -> None:
    """Every picture has its one entry, whole; nothing else lies in the folder but the index."""
    store = TensorStore(Path(where))
    assert None not in [store.read(key) for key in sorted(store.keys())]
    assert store.damaged == 0
    assert samples(where) == {f"flat/{name}": 1 for name in SIZES}
    assert [path.name for path in Path(where).iterdir() if path.is_file()] == ["index-flat.sqlite"]
    assert list(store.partials()) == []


def knows_every_digest() -> bool:
    with sqlite3.connect("cache/vae/index-flat.sqlite") as index:
        (row,) = index.execute("SELECT COUNT(*), COUNT(NULLIF(digest, '')) FROM pictures").fetchall()
    index.close()
    return bool(row == (COUNT, COUNT))


@pytest.mark.parametrize(
    ("moment", "sign", "code"),
    [
        (COUNT // 3, signal.SIGKILL, -signal.SIGKILL),
        pytest.param(0, signal.SIGKILL, -signal.SIGKILL, marks=pytest.mark.long),
        pytest.param(COUNT - 5, signal.SIGKILL, -signal.SIGKILL, marks=pytest.mark.long),
        pytest.param(COUNT // 4, signal.SIGINT, 130, marks=pytest.mark.long),
    ],
)
def test_killed_at_any_moment_it_goes_on_where_it_was(
    start: Start, capsys: pytest.CaptureFixture[str], moment: int, sign: signal.Signals, code: int
) -> None:
    process = start("simpletuner", "cache", SLOW)
    index = Path("cache/vae/index-flat.sqlite")
    until(lambda: len(entries()) >= moment if moment else index.exists(), process)
    process.send_signal(sign)
    process.wait()
    assert process.returncode == code
    made = entries()
    assert moment <= len(made) < COUNT
    # What was being written when it was killed is removed when it is old.
    for partial in TensorStore(Path("cache/vae")).partials():
        partial.unlink()
    assert command("cache", SLOW) == 0
    assert {path: entries()[path] for path in made} == made
    assert f"{COUNT - len(made)} made, {len(made)} there already" in capsys.readouterr().out
    all_sound()
    Path("cache/vae").rename("cache/interrupted")
    assert command("cache", SLOW) == 0
    for path in entries():
        assert path.read_bytes() == (Path("cache/interrupted") / path.parent.name / path.name).read_bytes()


def test_two_commands_at_once_fill_one_cache(start: Start) -> None:
    both = [start("simpletuner", "cache", SLOW) for _ in range(2)]
    told = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    all_sound()
    assert command("cache") == 0
    assert knows_every_digest()


@pytest.mark.two_ranks
def test_processes_of_torchrun_share_the_work(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    process = start(*LAUNCH, "-m", "simpletuner", "cache", ACCELERATE_USE_CPU="true")
    told, _ = process.communicate(timeout=180)
    assert process.returncode == 0, told
    assert told.count(f"{COUNT} made, 0 there already, 0 left out") == 1, "one says what all of them did"
    all_sound()
    made = entries()
    assert command("cache") == 0
    assert f"0 made, {COUNT} there already" in capsys.readouterr().out
    assert entries() == made
    assert knows_every_digest()


@pytest.mark.two_ranks
def test_what_ends_one_process_ends_all_and_is_told_once(start: Start) -> None:
    for path in Path("pictures").iterdir():
        path.write_bytes(b"")
    process = start(*LAUNCH, "-m", "simpletuner", "cache", ACCELERATE_USE_CPU="true")
    told, _ = process.communicate(timeout=180)
    assert process.returncode != 0
    assert told.count("no images detected in dataset") == 1, told
    assert [path.name for path in Path("cache/vae").iterdir() if path.is_file()] == ["index-flat.sqlite"]


@pytest.mark.two_ranks
@pytest.mark.long
def test_processes_draw_one_seed(start: Start) -> None:
    wide = dict.fromkeys(SIZES, (320, 64))
    folder("pictures", wide)
    folder("masks", wide)
    masks = {"id": "masks", "dataset_type": "conditioning", "conditioning_type": "mask", "instance_data_dir": "masks"}
    dataloader(dataset(conditioning_data="masks", crop_style="random"), dataset(cache_dir_vae="cache/masks") | masks)
    process = start(*LAUNCH, "-m", "simpletuner", "cache", "seed=-1", ACCELERATE_USE_CPU="true")
    told, _ = process.communicate(timeout=180)
    assert process.returncode == 0, told
    # Latents and masks are shared out differently.
    windows = [{(found["sample"], found["crop"]) for found in facts(place)} for place in ("cache/vae", "cache/masks")]
    assert len(windows[0]) == COUNT
    assert windows[0] == windows[1]


def test_alone_and_in_company_latents_are_the_same_to_the_bit(start: Start) -> None:
    assert command("cache") == 0
    alone = {path.relative_to("cache/vae"): path for path in entries()}
    Path("cache/vae").rename("cache/alone")
    assert command("cache", "vae_batch_size=7") == 0
    for name in alone:
        one, other = (load_file(Path(place) / name) for place in ("cache/alone", "cache/vae"))
        assert all(one[part].equal(other[part]) for part in one)
