from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from simpletuner.data.cache import TensorStore

KEY = "ab" + "0" * 62
OTHER = "ab" + "1" * 62
TENSORS = {"mean": torch.arange(12.0).reshape(3, 2, 2), "logvar": torch.ones(3, 2, 2)}


@pytest.fixture
def store(tmp_path: Path) -> TensorStore:
    store = TensorStore(tmp_path / "cache")
    store.write(KEY, TENSORS, {"sample": "set/赤.png"})
    return store


def test_an_entry_comes_back_whole(store: TensorStore) -> None:
    entry = store.read(KEY)
    assert entry is not None
    assert entry.keys() == TENSORS.keys()
    assert all(torch.equal(entry[name], tensor) for name, tensor in TENSORS.items())
    assert store.has(KEY)
    assert store.damaged == 0


def test_the_file_is_plain_safetensors_under_its_key(store: TensorStore) -> None:
    path = store.folder / "ab" / f"{KEY}.safetensors"
    assert [found for found in store.folder.rglob("*") if found.is_file()] == [path]
    with safe_open(path, "pt") as opened:
        assert opened.metadata()["sample"] == "set/赤.png"
        assert len(opened.metadata()["sha256"]) == 64


def test_a_miss_is_none(store: TensorStore) -> None:
    assert store.read(OTHER) is None
    assert not store.has(OTHER)
    assert store.damaged == 0


def test_a_tensor_that_is_a_view_is_stored(store: TensorStore) -> None:
    store.write(OTHER, {"mean": TENSORS["mean"].transpose(0, 2)}, {})
    entry = store.read(OTHER)
    assert entry is not None
    assert torch.equal(entry["mean"], TENSORS["mean"].transpose(0, 2))


def test_every_flipped_bit_that_could_matter_is_a_miss(store: TensorStore) -> None:
    path = store.path(KEY)
    whole = path.read_bytes()
    payload = len(whole) - 2 * 12 * 4
    for position in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        entry = store.read(KEY)
        if entry is not None:
            assert position < payload, "only a fact for people may change unseen"
            assert all(torch.equal(entry[name], tensor) for name, tensor in TENSORS.items())
        else:
            assert not path.exists()
    assert store.damaged > 60


@pytest.mark.parametrize("length", [0, 1, 7, 8, 40, 200, -1])
def test_a_cut_entry_is_removed_and_counted_once(store: TensorStore, length: int) -> None:
    path = store.path(KEY)
    path.write_bytes(path.read_bytes()[:length])
    assert store.read(KEY) is None
    assert not store.has(KEY)
    assert store.read(KEY) is None
    assert store.damaged == 1


def test_exchanged_names_types_or_shapes_are_seen(store: TensorStore) -> None:
    path = store.path(KEY)
    whole = path.read_bytes()
    for before, after in [(b"[3,2,2]", b"[2,3,2]"), (b'"F32"', b'"I32"'), (b'"mean"', b'"meen"')]:
        assert before in whole
        path.write_bytes(whole.replace(before, after))
        assert store.read(KEY) is None
    assert store.damaged == 3


def test_another_keys_entry_and_a_foreign_file_are_misses(store: TensorStore) -> None:
    store.path(OTHER).write_bytes(store.path(KEY).read_bytes())
    assert store.read(OTHER) is None
    save_file(TENSORS, store.path(OTHER))
    assert store.read(OTHER) is None
    store.path(OTHER).write_bytes((9).to_bytes(8, "little") + b"[1, 2, 3]")
    assert store.read(OTHER) is None
    assert store.damaged == 3
