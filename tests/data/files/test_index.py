from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from simpletuner.data.files.index import Known, open_index

ROW = Known("1-2-3-4", 64, 48, animated=True, text_version="9-9-9-9", text=b"a cat\xff", focus="none", digest="ab")


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    with open_index(tmp_path / "new/index.sqlite") as index:
        assert index.load() == {}
        assert not index.rebuilt
        index.save([("a.png", ROW), ("b/ü\n.png", Known("5-6-7-8", reason="broken", cure="mend it"))])
    with open_index(tmp_path / "new/index.sqlite") as index:
        assert index.load() == {"a.png": ROW, "b/ü\n.png": Known("5-6-7-8", reason="broken", cure="mend it")}


def test_rows_are_replaced_and_forgotten(tmp_path: Path) -> None:
    with open_index(tmp_path / "i.sqlite") as index:
        index.save([("a", Known("1")), ("b", Known("1"))])
        index.save([("a", Known("2", 3, 4))])
        index.forget(["b", "nobody"])
        assert index.load() == {"a": Known("2", 3, 4)}


def test_a_digest_is_learned_only_for_the_version_it_was_read_at(tmp_path: Path) -> None:
    with open_index(tmp_path / "i.sqlite") as index:
        index.save([("a", Known("1")), ("b", Known("1"))])
        index.learn_digests({"a": ("1", "d1"), "b": ("2", "d2"), "c": ("1", "d3")})
        assert {path: known.digest for path, known in index.load().items()} == {"a": "d1", "b": ""}


def test_damage_is_learned_only_for_the_version_it_was_found_at(tmp_path: Path) -> None:
    with open_index(tmp_path / "i.sqlite") as index:
        index.save([("a", ROW), ("b", ROW)])
        index.learn_damage({"a": (ROW.version, "truncated", "replace it"), "b": ("2", "x", "y"), "c": ("1", "x", "y")})
        assert index.load() == {"a": ROW._replace(reason="truncated", cure="replace it"), "b": ROW}


@pytest.mark.parametrize("damage", ["text", "empty layout", "cut", "middle"])
def test_a_damaged_index_is_rebuilt(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "i.sqlite"
    with open_index(path) as index:
        index.save((f"{number}.png", Known("1-1-1-1", 64, 64)) for number in range(2000))
    whole = path.read_bytes()
    damaged = {
        "text": b"not a database" * 100,
        "empty layout": whole[:60] + bytes(4) + whole[64:],
        "cut": whole[: len(whole) // 2],
        "middle": whole[:8192] + os.urandom(8192) + whole[16384:],
    }
    path.write_bytes(damaged[damage])
    with open_index(path) as index:
        assert index.rebuilt
        assert index.load() == {}
        index.save([("a", ROW)])
    with open_index(path) as index:
        assert index.load() == {"a": ROW}
        assert not index.rebuilt


WRITER = """
    import sys
    from pathlib import Path
    from simpletuner.data.files.index import Known, open_index
    with open_index(Path(sys.argv[1])) as index:
        done = len(index.load())
        while True:
            index.save((f"{done + n}.png", Known("1-1-1-1", done, n)) for n in range(50))
            done += 50
            print(done, flush=True)
"""


def test_what_was_saved_before_a_kill_is_there_whole(tmp_path: Path) -> None:
    path, told = tmp_path / "i.sqlite", 0
    for attempt in range(6):
        command = [sys.executable, "-c", textwrap.dedent(WRITER), str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            told = int(writer.stdout.readline())
            time.sleep(0.003 * attempt)
            writer.send_signal(signal.SIGKILL)
        with open_index(path) as index:
            rows = index.load()
            assert not index.rebuilt
        assert len(rows) >= told
        assert len(rows) % 50 == 0
