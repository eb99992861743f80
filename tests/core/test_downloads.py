"""Files in the hub's cache: fetched with the hub's own client, then damaged, moved, or fetched damaged."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from huggingface_hub import constants, snapshot_download

from simpletuner.core import downloads
from simpletuner.core.downloads import fetched_folder, require_whole
from simpletuner.core.errors import ConfigError
from tests.models.hub_cache import OLD
from tests.models.weights_hub import REPOSITORY, WeightsHub, serving

WEIGHTS, SETTINGS = "model.safetensors", "config.json"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the hub's client keeps its files."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(tmp_path / "home" / "assets"))
    return tmp_path / "home"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[WeightsHub]:
    """A hub that has a file of weights and a small file."""
    content = tmp_path / "content" / "vae"
    content.mkdir(parents=True)
    (content / WEIGHTS).write_bytes(bytes(range(256)) * 8192)
    (content / SETTINGS).write_text('{"channels": 4}')
    with serving(WeightsHub({OLD: content.parent}, OLD)) as made:
        yield made


def fetch(hub: WeightsHub) -> Path:
    """The folder of the part, with all that the hub has of it."""
    return Path(snapshot_download(REPOSITORY, endpoint=hub.endpoint, cache_dir=constants.HF_HUB_CACHE)) / "vae"


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_what_was_fetched_is_where_it_is_looked_for(hub: WeightsHub) -> None:
    folder = fetch(hub)
    assert [len((folder / name).readlink().name) for name in (WEIGHTS, SETTINGS)] == [64, 40]
    assert fetched_folder(REPOSITORY, OLD) == fetched_folder(REPOSITORY, None) == folder.parent
    assert not fetched_folder("no/where", None).exists()


@pytest.mark.parametrize(("name", "kind"), [(WEIGHTS, "SHA-256"), (SETTINGS, "git hash")])
def test_a_flipped_bit_is_told_with_a_cure_that_works(hub: WeightsHub, home: Path, name: str, kind: str) -> None:
    folder = fetch(hub)
    require_whole(folder, "the_key")
    flip(folder / name)
    with pytest.raises(ConfigError, match=f"the_key: the file is damaged: its {kind} is") as told:
        require_whole(folder, "the_key")
    assert told.value.file == folder / name
    command = str(told.value.cure).split("`")[1]
    assert str(home / "hub") in command
    subprocess.run(shlex.split(command), check=True)
    assert fetch(hub) == folder
    require_whole(folder, "the_key")


@pytest.mark.parametrize("name", [WEIGHTS, SETTINGS])
def test_what_arrives_damaged_is_refused(hub: WeightsHub, name: str) -> None:
    hub.spoiled = {f"vae/{name}"}
    with pytest.raises(ConfigError, match=rf"{name}: the_key: the file is damaged"):
        require_whole(fetch(hub), "the_key")


def test_a_file_cut_short_is_refused(hub: WeightsHub) -> None:
    folder = fetch(hub)
    os.truncate(folder / WEIGHTS, 4096)
    with pytest.raises(ConfigError, match="is damaged"):
        require_whole(folder, "the_key")


def test_a_file_is_read_once_and_the_hubs_cache_is_left_alone(hub: WeightsHub, home: Path) -> None:
    folder = fetch(hub)
    before = everything(home / "hub")
    require_whole(folder, "the_key")
    assert everything(home / "hub") == before
    # Unreadable now: whoever reads it fails.
    blob = (folder / WEIGHTS).resolve()
    status = blob.stat()
    flip(blob)
    os.utime(blob, ns=(status.st_atime_ns, status.st_mtime_ns))
    require_whole(folder, "the_key")
    os.utime(blob, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    with pytest.raises(ConfigError, match="is damaged"):
        require_whole(folder, "the_key")


def test_a_note_that_says_nothing_is_written_again(hub: WeightsHub, home: Path) -> None:
    folder = fetch(hub)
    require_whole(folder, "the_key")
    notes = list((home / "assets").rglob("*.json"))
    former = everything(home / "assets")
    for note in notes:
        note.write_text("{")
    require_whole(folder, "the_key")
    assert len(notes) == 2
    assert everything(home / "assets") == former


def test_where_no_note_can_be_written_files_are_judged_all_the_same(hub: WeightsHub, home: Path) -> None:
    folder = fetch(hub)
    (home / "assets").write_text("a file where the folder would be")
    require_whole(folder, "the_key")
    flip(folder / WEIGHTS)
    with pytest.raises(ConfigError, match="is damaged"):
        require_whole(folder, "the_key")


def test_what_names_no_hash_is_not_judged(hub: WeightsHub, tmp_path: Path) -> None:
    """A folder of the user's own, whatever links it is made of; and files that share one store under another hash."""
    folder = fetch(hub)
    shutil.copytree(folder, tmp_path / "copied")
    own = tmp_path / "own"
    own.mkdir()
    (own / WEIGHTS).symlink_to(tmp_path / "copied" / WEIGHTS)
    require_whole(own, "the_key")
    require_whole(tmp_path / "copied", "the_key")
    require_whole(tmp_path / "none", "the_key")
    blob = folder / (folder / WEIGHTS).readlink()
    store = tmp_path / "home" / "hub" / "blobs" / ("0" * 64)
    store.parent.mkdir()
    blob.rename(store)
    blob.symlink_to(store)
    require_whole(folder, "the_key")
    flip(store)
    with pytest.raises(ConfigError, match="is damaged") as told:
        require_whole(folder, "the_key")
    assert str(store) in str(told.value.cure)


def test_a_large_file_has_a_bar(
    hub: WeightsHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fetch(hub)
    capsys.readouterr()
    monkeypatch.setattr(downloads, "_LARGE", 1 << 20)
    require_whole(folder, "the_key")
    told = capsys.readouterr().err
    assert f"checking vae/{WEIGHTS}, once: 100%" in told
    assert SETTINGS not in told
    require_whole(folder, "the_key")
    assert capsys.readouterr().err == ""


def test_of_several_that_start_together_one_reads(
    hub: WeightsHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fetch(hub)
    capsys.readouterr()
    monkeypatch.setattr(downloads, "_LARGE", 1 << 20)
    together = Barrier(4)

    def start(_number: int) -> None:
        together.wait()
        require_whole(folder, "the_key")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(start, range(4)))
    assert capsys.readouterr().err.count("once: 100%") == 1
