from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save, save_file

from simpletuner.data.cache.store import TensorStore

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


@pytest.mark.parametrize(
    "tensors",
    [TENSORS, {"ids": torch.arange(5)}, {"b": torch.ones(1), "a": torch.arange(3), "c": torch.zeros(0, 2)}, {}],
)
def test_tensors_lie_as_the_library_lays_them(store: TensorStore, tensors: dict[str, torch.Tensor]) -> None:
    store.write(OTHER, tensors, {"text": "x"})
    found, expected = store.path(OTHER).read_bytes(), save(tensors)
    ours, theirs = (content[8 : 8 + int.from_bytes(content[:8], "little")] for content in (found, expected))
    assert found[8 + len(ours) :] == expected[8 + len(theirs) :]
    header = json.loads(ours)
    assert header.pop("__metadata__").keys() == {"sha256", "key", "text"}
    assert list(header.items()) == list(json.loads(theirs).items())


def test_a_miss_is_none(store: TensorStore) -> None:
    assert store.read(OTHER) is None
    assert not store.has(OTHER)
    assert store.damaged == 0


def test_a_tensor_that_is_a_view_is_stored(store: TensorStore) -> None:
    store.write(OTHER, {"mean": TENSORS["mean"].transpose(0, 2)}, {})
    entry = store.read(OTHER)
    assert entry is not None
    assert torch.equal(entry["mean"], TENSORS["mean"].transpose(0, 2))


def test_every_flipped_bit_is_a_miss(store: TensorStore) -> None:
    path = store.path(KEY)
    whole = path.read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        assert store.facts(KEY) is None
        assert path.exists(), "asking for facts changes nothing"
        assert store.read(KEY) is None
        assert not path.exists()
    assert store.damaged == len(whole)


def test_the_same_entry_has_the_same_bytes(store: TensorStore) -> None:
    facts = {name: name for name in ("one", "two", "three", "four", "five")}
    contents = set()
    for order in (list(facts), sorted(facts)[::-1]):
        for _ in range(8):
            store.write(OTHER, dict(reversed(TENSORS.items())), facts)
            contents.add(store.path(OTHER).read_bytes())
        assert store.facts(OTHER) == {name: facts[name] for name in order}
    assert len(contents) == 1
    assert load_file(store.path(OTHER)).keys() == TENSORS.keys()


def test_facts_of_a_miss_and_facts_that_are_no_text(store: TensorStore) -> None:
    assert store.facts(OTHER) is None
    assert store.facts(KEY) == {"sample": "set/赤.png"}
    store.write(OTHER, TENSORS, {"text": 'quo"te \n \x7f 赤 \udcff'})
    assert store.facts(OTHER) == {"text": 'quo"te \n \x7f 赤 ?'}
    assert store.read(OTHER) is not None


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


def test_another_keys_entry_and_foreign_files_are_misses(store: TensorStore) -> None:
    path = store.path(OTHER)
    path.write_bytes(store.path(KEY).read_bytes())
    assert store.read(OTHER) is None
    save_file(TENSORS, path)
    assert store.read(OTHER) is None
    path.write_bytes((9).to_bytes(8, "little") + b"[1, 2, 3]")
    assert store.read(OTHER) is None
    assert store.damaged == 3


@pytest.mark.parametrize(
    "header", ['{"sha256":"', '{"__metadata__":{"sha256":"', '{"__metadata__":{"key":3,"sha256":"']
)
@pytest.mark.parametrize("rest", ["", '"}}', '"},"mean":3}', '","key":"' + OTHER + '"},"x":[]}', "[" * 100_000])
@pytest.mark.parametrize("length", [None, 2**40])
def test_a_hostile_file_with_a_fitting_checksum_is_a_miss(
    store: TensorStore, header: str, rest: str, length: int | None
) -> None:
    before, after = header.encode(), rest.encode()
    start = (len(before) + 64 + len(after) if length is None else length).to_bytes(8, "little") + before
    checksum = hashlib.sha256(start + after).hexdigest().encode()
    store.path(OTHER).write_bytes(start + checksum + after)
    assert store.read(OTHER) is None
    assert store.damaged == 1


def test_keys_are_the_entries_and_nothing_else(store: TensorStore) -> None:
    assert TensorStore(store.folder / "nowhere").keys() == frozenset()
    store.write(OTHER, TENSORS, {})
    store.write("cd" + "2" * 62, TENSORS, {})
    foreign = ["ab/notes.txt", f"ab/{KEY}", f"ab/cd{'3' * 62}.safetensors", f"ab/.{KEY}.safetensors", "index.sqlite"]
    for name in (*foreign, "ff", f"abc/abc{'0' * 61}.safetensors"):
        (store.folder / name).parent.mkdir(exist_ok=True)
        (store.folder / name).write_bytes(b"")
    assert store.keys() == {KEY, OTHER, "cd" + "2" * 62}
    assert list(store.partials()) == []


def test_many_keys_are_listed_fast(tmp_path: Path) -> None:
    store = TensorStore(tmp_path)
    keys = {hashlib.sha256(bytes([number % 256, number // 256])).hexdigest() for number in range(10_000)}
    for key in keys:
        store.path(key).parent.mkdir(exist_ok=True)
        os.close(os.open(store.path(key), os.O_CREAT))
    start = time.perf_counter()
    assert store.keys() == keys
    assert time.perf_counter() - start < 1.0


def test_removing_twice_is_no_error(store: TensorStore) -> None:
    store.remove(KEY)
    store.remove(KEY)
    assert not store.has(KEY)


def test_threads_that_meet_one_damaged_entry_all_miss(store: TensorStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        for _ in range(50):
            store.write(KEY, TENSORS, {})
            store.path(KEY).write_bytes(b"damaged")
            assert set(pool.map(store.read, [KEY] * 8)) == {None}
    assert 50 <= store.damaged <= 400


def test_a_disk_that_cannot_be_written_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = TensorStore(tmp_path / "file")
    assert store.keys() == frozenset()
    with pytest.raises(OSError) as error:
        store.write(KEY, TENSORS, {})
    assert error.value.errno in (errno.ENOTDIR, errno.EEXIST)


def test_a_disk_that_is_full_leaves_the_old_entry_and_nothing_half(store: TensorStore) -> None:
    whole = store.path(KEY).read_bytes()
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(OSError) as error:
            store.write(KEY, {"mean": torch.zeros(99)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert error.value.errno == errno.EFBIG
    assert error.value.filename == str(store.path(KEY)), "a full disk is told by the file that did not fit"
    assert store.path(KEY).read_bytes() == whole
    assert list(store.partials()) == []


def test_two_processes_write_one_entry_a_hundred_times(tmp_path: Path) -> None:
    """Real processes, let go together; whatever the order, one sound entry and nothing beside it."""
    command = [sys.executable, __file__, str(tmp_path)]
    pipe = subprocess.PIPE
    writers = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1) for _ in range(2)]
    store = TensorStore(tmp_path)
    try:
        for number in range(100):
            key = f"{number:064x}"
            for writer in writers:
                assert writer.stdin is not None
                writer.stdin.write(f"{key}\n")
            for writer in writers:
                assert writer.stdout is not None
                assert writer.stdout.readline() == f"{key}\n"
            assert store.read(key) is not None
        assert len(store.keys()) == 100
        assert list(store.partials()) == []
    finally:
        for writer in writers:
            writer.communicate()
    assert [writer.returncode for writer in writers] == [0, 0]


def write_what_is_asked_for(folder: Path) -> None:
    """The other end of the test above: writes each key that it is told, some times over."""
    store = TensorStore(folder)
    for line in sys.stdin:
        for _ in range(random.randrange(1, 4)):
            store.write(line.strip(), TENSORS, {"sample": "one"})
        sys.stdout.write(line)
        sys.stdout.flush()


if __name__ == "__main__":
    write_what_is_asked_for(Path(sys.argv[1]))
