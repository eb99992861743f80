from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import TypeVar

import numpy as np
import pytest

from simpletuner.core.errors import ConfigError, DataError, ExitCode, SimpletunerError
from simpletuner.core.ranks import Ranks
from simpletuner.data.captions.candidates import CaptionSpec
from simpletuner.data.entries import Dropped
from simpletuner.data.files.sift import ScannedDataset
from simpletuner.data.files.snapshot import Share, ToldError, scan_once, share_all
from simpletuner.data.files.table import PictureTable

T = TypeVar("T")

NAMES = CaptionSpec(only=True, instance_prompts=("x",))


def scanned(*paths: str) -> ScannedDataset:
    """A scan of pictures that differ in all that a scan tells of them."""
    table = PictureTable(
        dataset="flat",
        paths=paths,
        widths=np.arange(1, len(paths) + 1, dtype=np.int32),
        heights=np.arange(2, len(paths) + 2, dtype=np.int32),
        captions=[(path, "again") for path in paths],
        digests={paths[0]: "abc"},
        foci={paths[0]: (0.25, 0.5)},
    )
    dropped = (Dropped("b.png", "empty", "replace it", "size"),)
    return ScannedDataset(
        "flat", "/pictures", 7, table, dropped, notes=("a note",), warnings=("a warning",), uncaptioned=paths[:1]
    )


def together(count: int, work: Callable[[Ranks], T], job: str = "01234567") -> list[T | SimpletunerError]:
    """What ``work`` gives or raises in each of ``count`` ranks that wait for each other."""
    barrier = Barrier(count)

    def wait() -> None:
        barrier.wait(20)

    def one(rank: int) -> T | SimpletunerError:
        try:
            return work(Ranks(rank, count, wait, job))
        except SimpletunerError as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def share(name: str) -> Share:
    return Share({f"{name}.png": ("version", name)}, (Dropped(name, "empty", "replace it"),), 1, 2)


def test_every_rank_has_the_scan_of_the_first(tmp_path: Path) -> None:
    asked: list[int] = []

    def work(ranks: Ranks) -> ScannedDataset:
        def scan() -> ScannedDataset:
            asked.append(ranks.rank)
            return scanned("a.png", "caf\udce9.png")

        return scan_once(tmp_path, ranks, CaptionSpec("textfile"), "flat", scan)

    first, *others = together(3, work)
    assert asked == [0]
    assert isinstance(first, ScannedDataset)
    for other in others:
        assert isinstance(other, ScannedDataset)
        assert replace(other, table=first.table) == first
        assert list(other.table.paths) == list(first.table.paths)
        assert other.table.widths.tolist() == [1, 2]
        assert other.table.heights.tolist() == [2, 3]
        assert list(other.table.captions) == list(first.table.captions)
        assert (other.table.digests, other.table.foci) == (first.table.digests, first.table.foci)
    assert list(tmp_path.iterdir()) == []


def test_captions_that_follow_from_names_are_not_told(tmp_path: Path) -> None:
    _, other = together(2, lambda ranks: scan_once(tmp_path, ranks, NAMES, "flat", lambda: scanned("a.png")))
    assert isinstance(other, ScannedDataset)
    assert list(other.table.captions) == [("x",)]


def test_shares_are_told_in_the_order_of_ranks(tmp_path: Path) -> None:
    found = together(3, lambda ranks: share_all(tmp_path, ranks, "flat", lambda: share(str(ranks.rank))))
    assert found == [[share("0"), share("1"), share("2")]] * 3
    assert list(tmp_path.iterdir()) == []


def test_alone_nothing_is_written(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    assert share_all(missing, Ranks(), "flat", lambda: share("a")) == [share("a")]
    made = scanned("a.png")
    assert scan_once(missing, Ranks(), NAMES, "flat", lambda: made) is made
    assert not missing.exists()


@pytest.mark.parametrize("kind", [ConfigError, DataError])
def test_what_ends_the_first_ends_all(tmp_path: Path, kind: type[SimpletunerError]) -> None:
    def scan() -> ScannedDataset:
        raise kind("it is empty", file=Path("pictures"), key="flat", cure="fill it")

    first, *others = together(3, lambda ranks: scan_once(tmp_path, ranks, NAMES, "flat", scan))
    assert type(first) is kind
    for other in others:
        assert isinstance(other, ToldError)
        assert str(other) == str(first)
        assert other.exit_code == kind.exit_code
    assert list(tmp_path.iterdir()) == []


def test_what_ends_another_ends_all(tmp_path: Path) -> None:
    def work(ranks: Ranks) -> object:
        def fill() -> Share:
            if ranks.rank == 1:
                raise DataError("the disk is full")
            return share("a")

        return share_all(tmp_path, ranks, "flat", fill)

    found = together(3, work)
    assert [type(error) for error in found] == [ToldError, DataError, ToldError]
    assert [error.exit_code for error in found if isinstance(error, SimpletunerError)] == [ExitCode.DATA] * 3
    assert list(tmp_path.iterdir()) == []


def test_two_jobs_share_a_folder(tmp_path: Path) -> None:
    def job(name: str) -> list[object]:
        return together(
            2, lambda ranks: share_all(tmp_path, ranks, "flat", lambda: share(name + str(ranks.rank))), name
        )

    with ThreadPoolExecutor(2) as pool:
        for _ in range(20):
            one, other = pool.map(job, ("aaaaaaaa", "bbbbbbbb"))
            assert one == [[share("aaaaaaaa0"), share("aaaaaaaa1")]] * 2
            assert other == [[share("bbbbbbbb0"), share("bbbbbbbb1")]] * 2


def test_what_a_killed_job_left_is_removed_when_it_is_old(tmp_path: Path) -> None:
    old, new = (tmp_path / f"exchange-{job}-share-0-flat.json" for job in ("aaaaaaaa", "bbbbbbbb"))
    for path in (old, new):
        path.write_text("{}")
    os.utime(old, (1, 1))
    together(2, lambda ranks: scan_once(tmp_path, ranks, NAMES, "flat", lambda: scanned("a.png")))
    assert list(tmp_path.iterdir()) == [new]
