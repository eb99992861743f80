from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import torch

from simpletuner.data.cache.prune import Pruned, prune
from simpletuner.data.cache.store import TensorStore

KEYS = [f"{number:x}" * 64 for number in range(4)]


@pytest.fixture
def store(tmp_path: Path) -> TensorStore:
    store = TensorStore(tmp_path)
    for number, key in enumerate(KEYS):
        store.write(key, {"mean": torch.ones(number + 1)}, {})
    return store


def size(store: TensorStore, *keys: str) -> int:
    return sum(store.path(key).stat().st_size for key in keys)


def test_what_nothing_uses_is_removed_and_the_rest_kept(store: TensorStore) -> None:
    freed = size(store, KEYS[0], KEYS[2])
    used = {KEYS[1], KEYS[3], "not there"}
    assert prune(store, used) == Pruned(2, freed, 2)
    assert store.keys() == {KEYS[1], KEYS[3]}
    assert prune(store, used) == Pruned(0, 0, 2)


def test_a_damaged_entry_that_is_used_stays(store: TensorStore) -> None:
    store.path(KEYS[0]).write_bytes(b"")
    assert prune(store, KEYS).kept == 4


def test_foreign_files_stay(store: TensorStore) -> None:
    foreign = ["notes.txt", "index-set.sqlite", "00/notes.txt", ".0.partial", f"{KEYS[0]}.safetensors"]
    foreign += [f"11/{KEYS[0]}.safetensors", "00/.mine.partial", f"zz/{'z' * 64}.safetensors"]
    for name in foreign:
        (store.folder / name).parent.mkdir(exist_ok=True)
        (store.folder / name).write_bytes(b"")
        os.utime(store.folder / name, (0, 0))
    assert prune(store, []).removed == 4
    assert all((store.folder / name).is_file() for name in foreign)


def test_only_old_leftovers_of_killed_processes_are_removed(store: TensorStore) -> None:
    old, young = (store.folder / "00" / f".{digit * 32}.partial" for digit in "ab")
    for path, age in ((old, 3700), (young, 60)):
        path.write_bytes(b"12345")
        os.utime(path, (time.time() - age,) * 2)
    assert prune(store, KEYS) == Pruned(1, 5, 4)
    assert (old.exists(), young.exists()) == (False, True)


def test_a_leftover_has_the_name_that_a_writer_gives(store: TensorStore) -> None:
    """A disk that cannot rename leaves one: a folder lies where the entry should."""
    seen: list[Path] = []

    target = store.path("f" * 64)
    (target / "in the way").mkdir(parents=True)
    replace = Path.replace

    def watch(path: Path, other: Path) -> Path:
        seen.extend(store.partials())
        return replace(path, other)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", watch)
        with pytest.raises(OSError):
            store.write("f" * 64, {"mean": torch.ones(1)}, {})
    assert len(seen) == 1
    assert list(store.partials()) == [], "a writer that fails cleans up"


def test_a_cache_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert prune(TensorStore(tmp_path / "nowhere"), []) == Pruned(0, 0, 0)
