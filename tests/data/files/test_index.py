from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from simpletuner.data.files.index import Known, is_lost, open_index, set_aside
from simpletuner.data.files.versions import unsettled

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
    assert (tmp_path / "i.sqlite.damaged").read_bytes() == damaged[damage]


@pytest.mark.parametrize("left", ["", "CREATE TABLE pictures (path TEXT)", "PRAGMA user_version = 2"])
def test_what_a_kill_leaves_while_an_index_is_made_is_no_damage(tmp_path: Path, left: str) -> None:
    path = tmp_path / "i.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(left)
    path.touch()
    with open_index(path) as index:
        assert not index.rebuilt
        index.save([("a", ROW)])
        assert index.load() == {"a": ROW}
    assert list(tmp_path.iterdir()) == [path]


def test_an_index_from_before_it_knew_its_rules_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "i.sqlite"
    with open_index(path) as index:
        index.save([("a", ROW)])
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE facts")
    with open_index(path) as index:
        assert not index.rebuilt
        assert index.load() == {"a": ROW}
        index.judge_by("ours")


def test_refusals_of_other_rules_are_not_believed(tmp_path: Path) -> None:
    broken, unread = Known("5", reason="broken", cure="mend it"), Known(unsettled("6"), reason="silent", cure="wait")
    with open_index(tmp_path / "i.sqlite") as index:
        index.judge_by("ours")
        rows = {"a": ROW, "b": broken, "c": unread}
        index.save(rows.items())
        index.judge_by("ours")
        assert index.load() == rows
        index.judge_by("others")
        assert index.load() == rows | {"b": broken._replace(version=unsettled("5"))}
        index.save([("b", broken)])
    with open_index(tmp_path / "i.sqlite") as index:
        index.judge_by("others")
        assert index.load() == rows


def test_only_what_is_damaged_is_set_aside_with_its_journal(tmp_path: Path) -> None:
    path, journal = tmp_path / "i.sqlite", tmp_path / "i.sqlite-journal"
    with open_index(path) as index:
        index.save([("a", ROW)])
    assert not set_aside(path)
    path.write_bytes(b"not a database" * 100)
    # SQLite itself plays back or removes any other.
    journal.write_bytes(bytes(512))
    assert set_aside(path)
    assert not journal.exists()
    assert (tmp_path / "i.sqlite.damaged-journal").read_bytes() == bytes(512)
    assert not set_aside(path), "nothing is there any more"


def test_who_has_the_damaged_index_open_learns_that_it_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "i.sqlite"
    with open_index(path) as index:
        index.save([("a", ROW)])
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE pictures SET reason = CAST(x'FFFE' AS TEXT)")
        with pytest.raises(sqlite3.OperationalError) as caught:
            index.load()
        assert is_lost(caught.value)
        assert set_aside(path)
        with open_index(path) as new:
            new.save([("b", ROW)])
        with pytest.raises(sqlite3.OperationalError) as caught:
            index.save([("c", ROW)])
        assert is_lost(caught.value)
    with open_index(path) as index:
        assert index.load() == {"b": ROW}


def test_a_lock_is_no_damage(tmp_path: Path) -> None:
    with open_index(tmp_path / "i.sqlite"), closing(sqlite3.connect(tmp_path / "i.sqlite", timeout=0)) as other:
        with closing(sqlite3.connect(tmp_path / "i.sqlite")) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            with pytest.raises(sqlite3.OperationalError, match="locked") as caught:
                other.execute("SELECT * FROM pictures")
        assert not is_lost(caught.value)


OPENER = """
    import sqlite3, sys, time
    from pathlib import Path
    from simpletuner.data.files.index import Known, open_index
    print("ready", flush=True)
    for line in sys.stdin:
        path, start = line.rsplit(" ", 1)
        while time.time() < float(start):
            pass
        try:
            with open_index(Path(path)) as index:
                index.load()
                for part in "ab":
                    index.save((f"{sys.argv[1]}{part}{n}.png", Known("1-1-1-1", 1, 1)) for n in range(20))
            print("rebuilt" if index.rebuilt else "fine", flush=True)
        except (OSError, sqlite3.Error) as error:
            print(repr(error), flush=True)
"""


@pytest.fixture(scope="module")
def openers() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that open an index at the same moment and write into it."""
    with ExitStack() as stack:
        command = [sys.executable, "-c", textwrap.dedent(OPENER)]
        made = [
            stack.enter_context(
                subprocess.Popen([*command, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for number in range(5)
        ]
        assert [said(opener) for opener in made] == ["ready"] * len(made)
        yield made
        for opener in made:
            assert opener.stdin is not None
            opener.stdin.close()


def said(opener: subprocess.Popen[str]) -> str:
    assert opener.stdout is not None
    return opener.stdout.readline().strip()


@pytest.mark.parametrize(("before", "rebuilt"), [(None, 0), (b"", 0), (b"not a database" * 100, 1)])
def test_many_that_open_it_at_once_lose_nothing(
    tmp_path: Path, openers: list[subprocess.Popen[str]], before: bytes | None, rebuilt: int
) -> None:
    for attempt in range(8):
        path, start = tmp_path / f"{attempt}.sqlite", time.time() + 0.02
        if before is not None:
            path.write_bytes(before)
        for opener in openers:
            assert opener.stdin is not None
            opener.stdin.write(f"{path} {start}\n")
            opener.stdin.flush()
        told = sorted(said(opener) for opener in openers)
        assert told == ["fine"] * (len(openers) - rebuilt) + ["rebuilt"] * rebuilt
        with open_index(path) as index:
            assert len(index.load()) == 40 * len(openers)
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
