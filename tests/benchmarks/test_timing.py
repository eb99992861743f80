"""What the figures are made with."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from benchmarks.timing import (
    Crowd,
    Opens,
    Times,
    alternated,
    in_threads,
    processor_ratio,
    ratio,
    repeated,
    resident_megabytes,
    seconds_of,
    surroundings,
)


def test_seconds_are_those_that_the_work_takes() -> None:
    assert 0.01 <= seconds_of(lambda: time.sleep(0.01)) < 5


def test_work_is_repeated() -> None:
    done: list[int] = []
    times = repeated(lambda: done.append(1), 3)
    assert len(times.seconds) == len(done) == 3


def test_the_median_is_told_with_its_range() -> None:
    assert Times((3.0, 1.0, 2.0)).figures("x") == {"x": 2.0, "x_range": [1.0, 3.0]}


def test_works_are_done_in_turn_after_a_warm_up() -> None:
    done: list[str] = []
    times = alternated({"a": lambda: done.append("a"), "b": lambda: done.append("b")}, rounds=2, warm_up=1)
    assert "".join(done) == "ababab"
    assert {name: len(found.seconds) for name, found in times.items()} == {"a": 2, "b": 2}


def test_a_thread_that_waits_spends_no_processor_time() -> None:
    waited = alternated({"it": lambda: time.sleep(0.05)}, rounds=1)["it"]
    assert waited.processor[0] < 0.04 < waited.seconds[0]


def test_ratios_are_of_neighbours() -> None:
    above, below = Times((1.0, 10.0, 6.0), (2.0, 2.0, 2.0)), Times((2.0, 10.0, 3.0), (4.0, 4.0, 1.0))
    assert ratio(above, below) == 1.0
    assert processor_ratio(above, below) == 0.5


def test_opened_files_are_counted_below_one_folder_only(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for path in (tmp_path / "in" / "a", tmp_path / "b"):
        path.touch()
    opens = Opens(tmp_path / "in")
    (tmp_path / "in" / "a").read_bytes()
    with opens.counting():
        (tmp_path / "in" / "a").read_bytes()
        with open(tmp_path / "in" / "a"):  # noqa: PTH123
            (tmp_path / "b").read_bytes()
    (tmp_path / "in" / "a").read_bytes()
    assert opens.count == 2


def test_own_work_is_no_crowd() -> None:
    crowd = Crowd()
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        pass
    # Whoever else is on the machine, this thread alone would have made it 1 more.
    assert crowd.cores() > -0.2


def test_threads_do_every_item() -> None:
    done: list[int] = []
    in_threads(done.append, range(10), 3)
    assert sorted(done) == list(range(10))


def test_threads_pass_errors_on() -> None:
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda item: 1 // item, [1, 0], 2)


def test_the_figures_say_what_they_were_made_on() -> None:
    found = surroundings()
    assert {"commit", "device", "cores", "load", "omp_num_threads", "python", "torch", "pillow"} < set(found)
    assert len(found["load"]) == 3
    assert resident_megabytes() > 10
