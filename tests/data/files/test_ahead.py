from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from simpletuner.data.files.ahead import Behind, ahead


def test_results_come_in_order() -> None:
    with ThreadPoolExecutor(3) as pool:
        assert list(ahead(pool, lambda number: number * number, range(50), 4)) == [n * n for n in range(50)]
        assert list(ahead(pool, str, [], 4)) == []


def test_no_more_than_a_window_is_begun() -> None:
    begun: list[int] = []
    with ThreadPoolExecutor(8) as pool:
        results = ahead(pool, begun.append, range(100), 5)
        for done in range(20):
            next(results)
            assert len(begun) <= done + 5


def test_the_caller_hears_what_went_wrong() -> None:
    free = threading.Event()
    free.set()

    def work(number: int) -> int:
        free.wait()
        return 1 // (number - 3)

    with ThreadPoolExecutor(2) as pool, pytest.raises(ZeroDivisionError):
        list(ahead(pool, work, range(10), 2))


@pytest.mark.parametrize("window", [1, 2, 5, 100])
def test_results_come_in_order_and_never_too_many(window: int) -> None:
    lock, alive, most = threading.Lock(), set(), 0

    def work(number: int) -> int:
        nonlocal most
        with lock:
            alive.add(number)
            most = max(most, len(alive))
        time.sleep(0.0005 * (number % 3))
        return number

    got = []
    with ThreadPoolExecutor(4) as pool:
        for number in ahead(pool, work, range(30), window):
            got.append(number)
            time.sleep(0.0002)
            alive.discard(number)
    assert got == list(range(30))
    assert most <= window
    assert most > 1 or window == 1


def test_what_is_asked_for_last_is_not_begun_before_there_is_room() -> None:
    begun: list[int] = []
    with ThreadPoolExecutor(4) as pool:
        results = ahead(pool, begun.append, range(10), 3)
        next(results)
        time.sleep(0.02)
        assert sorted(begun) == [0, 1, 2]


def test_work_behind_the_callers_back_is_bounded_and_finished() -> None:
    gate, done = threading.Event(), []

    def work(number: int) -> None:
        gate.wait(10)
        done.append(number)

    with ThreadPoolExecutor(1) as pool:
        behind = Behind(pool, 2)
        behind.add(lambda: work(0))
        behind.add(lambda: work(1))
        assert done == []
        threading.Timer(0.02, gate.set).start()
        behind.add(lambda: work(2))
        assert done[:1] == [0], "the third waits for the first"
        behind.finish()
        assert done == [0, 1, 2]


def test_a_failure_behind_the_callers_back_is_raised() -> None:
    def fail() -> None:
        raise OSError("full")

    with ThreadPoolExecutor(1) as pool:
        behind = Behind(pool, 5)
        behind.add(fail)
        with pytest.raises(OSError, match="full"):
            behind.finish()
