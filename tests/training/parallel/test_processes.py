"""Processes that wait for each other and hear what ended one of them: threads with one store between them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest
import torch
import torch.distributed as dist

from simpletuner.core.errors import DataError, OutOfMemory, ToldError
from simpletuner.training.parallel.processes import LostError, Processes


def together(count: int, act: Callable[[Processes], object]) -> list[object]:
    """What ``act`` gives in each process; the errors that it raises, too."""
    store = dist.HashStore()

    def one(rank: int) -> object:
        try:
            return act(Processes(rank, count, store))
        except Exception as error:  # noqa: BLE001  # it is what is looked at
            return error

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(one, range(count)))


def test_all_wait_for_the_slowest() -> None:
    arrived: list[int] = []

    def act(processes: Processes) -> int:
        time.sleep(0.2 * processes.rank)
        arrived.append(processes.rank)
        processes.wait()
        return len(arrived)

    assert together(3, act) == [3, 3, 3]


def test_all_have_what_the_first_makes_each_time() -> None:
    def act(processes: Processes) -> tuple[str, str]:
        return processes.of_first(lambda: f"a{processes.rank}"), processes.of_first(lambda: f"b{processes.rank}")

    assert together(3, act) == [("a0", "b0")] * 3


def test_what_fails_in_one_is_heard_in_all_with_its_cause() -> None:
    def act(processes: Processes) -> None:
        with processes.together():
            if processes.rank == 1:
                raise DataError("went bad", file="frog.png", key="pictures", cure="copy it")

    first, failed, third = together(3, act)
    assert type(failed) is DataError
    for heard in (first, third):
        assert isinstance(heard, ToldError)
        assert (heard.reason, heard.file, heard.key, heard.cure) == ("went bad", "frog.png", "pictures", "copy it")
        assert heard.exit_code == 3


def test_who_waits_hears_of_an_error_elsewhere() -> None:
    def act(processes: Processes) -> None:
        if processes.rank == 0:
            processes.wait()
        processes.tell(ZeroDivisionError("a bug"))

    heard, _ = together(2, act)
    assert isinstance(heard, ToldError)
    assert (heard.reason, heard.exit_code) == ("ZeroDivisionError: a bug", 1)


def test_the_first_that_failed_hears_what_fails_in_another_after_it() -> None:
    has_told = threading.Event()

    def act(processes: Processes) -> None:
        if processes.rank == 1:
            processes.tell(DataError("went bad"))
            has_told.set()
        has_told.wait()
        with processes.together():
            if processes.rank == 0:
                raise DataError("the disk is low")

    failed, first, third = together(3, act)
    assert type(failed) is DataError
    assert isinstance(first, ToldError)
    assert first.reason == "the disk is low"
    assert isinstance(third, ToldError)


def test_an_end_is_heard_once_so_that_all_can_wait_for_each_other_after_it() -> None:
    def act(processes: Processes) -> str:
        with pytest.raises((DataError, ToldError)), processes.together():
            if processes.is_first:
                raise DataError("went bad")
        # The first writes what was learned, and all leave it together.
        with processes.together():
            time.sleep(0.3 if processes.is_first else 0)
        with pytest.raises((DataError, ToldError)) as raised, processes.together():
            if processes.is_first:
                raise DataError("the disk is low")
        return str(raised.value)

    assert together(3, act) == ["the disk is low"] * 3


@pytest.mark.parametrize("lag", [0.0, 0.05])
@pytest.mark.parametrize("inside", [False, True])
def test_those_that_fail_side_by_side_save_together_after_it(*, inside: bool, lag: float) -> None:
    """Memory ends in all of them in the same step: what one says of it must not end the save of the other."""

    def act(processes: Processes) -> str:
        if inside:
            with pytest.raises(OutOfMemory), processes.together():
                raise OutOfMemory(f"no memory in {processes.rank}")
        else:
            processes.tell(OutOfMemory(f"no memory in {processes.rank}"))
        time.sleep(lag * processes.rank)
        with processes.together():
            return "saved"

    assert [together(3, act) for _ in range(5)] == [["saved"] * 3] * 5


@pytest.mark.parametrize("is_torn", [False, True])
def test_where_all_may_go_on_only_what_tears_is_heard(is_torn: bool) -> None:
    first, other = (Processes(rank, 2, store) for store in [dist.HashStore()] for rank in range(2))
    (first.tear if is_torn else first.tell)(DataError("went bad"))
    first.raise_torn()
    with pytest.raises(ToldError, match="went bad") if is_torn else nullcontext():
        other.raise_torn()
    assert other.is_torn == is_torn


def test_who_speaks_ends_and_is_waited_for_no_more() -> None:
    def act(processes: Processes) -> bool:
        if processes.is_first:
            return processes.may_speak(DataError("the disk is full"))
        with pytest.raises(ToldError, match="the disk is full"):
            processes.wait()
        return processes.is_torn

    assert together(2, act) == [True, True]


def test_one_speaks_and_it_is_not_one_that_was_told() -> None:
    def act(processes: Processes) -> bool:
        if processes.rank == 0:
            return processes.may_speak(ToldError({"reason": "", "file": None, "key": None, "cure": None, "code": 3}))
        return processes.may_speak(DataError("went bad"))

    spoken = together(4, act)
    assert spoken[0] is False
    assert sorted(map(bool, spoken)) == [False, False, False, True]


def test_a_broken_connection_is_the_loss_of_another_or_its_own_story() -> None:
    def act(processes: Processes) -> None:
        with processes.losses_named():
            raise RuntimeError("Connection closed by peer\nand more")

    lost = together(1, act)[0]
    assert isinstance(lost, LostError)
    assert "is gone (Connection closed by peer)" in str(lost)

    def told(processes: Processes) -> None:
        if processes.rank == 1:
            processes.tell(DataError("went bad"))
            return
        time.sleep(0.2)
        act(processes)

    assert isinstance(together(2, told)[0], ToldError)


def test_each_hears_the_words_of_all_by_rank_each_time() -> None:
    def act(processes: Processes) -> tuple[list[str], list[str]]:
        return processes.of_each(f"a{processes.rank}"), processes.of_each("b" * processes.rank)

    assert together(3, act) == [(["a0", "a1", "a2"], ["", "b", "bb"])] * 3


def test_errors_of_work_that_exchanges_are_told_from_a_broken_connection() -> None:
    gone = "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer"
    found = []
    for error in (ValueError(gone), RuntimeError("size mismatch"), torch.OutOfMemoryError("NCCL: out of memory")):
        processes = Processes(0, 2, dist.HashStore())
        with pytest.raises(type(error)), processes.losses_named(in_work=True):
            raise error
        found.append(processes.is_torn)
    for broken in (RuntimeError(gone), dist.DistBackendError("communicator was aborted")):
        processes = Processes(0, 2, dist.HashStore())
        with pytest.raises(LostError, match="is gone"), processes.losses_named(in_work=True):
            raise broken
        found.append(processes.is_torn)
    assert found == [False, False, False, True, True]


class Group(dist.ProcessGroup):
    """Exchanges that can be broken off."""

    def __init__(self) -> None:
        super().__init__(0, 1)
        self.is_aborted = threading.Event()

    def abort(self) -> None:
        self.is_aborted.set()


def test_who_is_inside_of_an_exchange_hears_why_it_broke_off_although_the_store_is_gone() -> None:
    torn: list[bool] = []

    def act(processes: Processes) -> None:
        try:
            if processes.is_first:
                processes.tear(OutOfMemory("no room", cure="less"))
                return
            group = Group()
            processes.listen([group])
            assert group.is_aborted.wait(10)
            assert processes.store is not None
            processes.store.delete_key("failed")
            with processes.losses_named(in_work=True):
                raise RuntimeError("unspecified launch failure")
        finally:
            torn.append(processes.is_torn)
            processes.leave()

    _, heard = together(2, act)
    assert isinstance(heard, ToldError)
    assert (heard.reason, heard.cure, heard.exit_code) == ("no room", "less", 4)
    assert torn == [True, True]


def test_what_ends_a_run_in_good_order_breaks_nothing_off() -> None:
    def act(processes: Processes) -> bool:
        group = Group()
        processes.listen([group])
        try:
            if processes.is_first:
                processes.tell(DataError("went bad"))
            with pytest.raises(DataError if processes.is_first else ToldError), processes.together():
                time.sleep(0.5)
                if processes.is_first:
                    raise DataError("went bad")
        finally:
            processes.leave()
        return group.is_aborted.is_set() or processes.is_torn

    assert together(2, act) == [False, False]


def test_the_first_leaves_last_and_waits_for_nobody_for_ever() -> None:
    left: list[int] = []

    def act(processes: Processes) -> None:
        time.sleep(0.1 * processes.rank)
        processes.leave()
        left.append(processes.rank)

    together(3, act)
    assert left[-1] == 0
    began = time.monotonic()
    Processes(0, 2, dist.HashStore()).leave()
    assert 1 < time.monotonic() - began < 10


def test_alone_nobody_is_waited_for() -> None:
    alone = Processes()
    assert (alone.rank, alone.count, alone.is_first) == (0, 1, True)
    alone.wait()
    assert alone.of_first(lambda: "x") == "x"
    assert alone.may_speak(DataError("went bad"))
    alone.leave()
