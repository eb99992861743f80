"""Hearing in a thread: once, what stands in the store, also when the store is gone."""

from __future__ import annotations

import threading
import time

import torch.distributed as dist

from simpletuner.training.parallel.ear import Ear


def test_it_hears_what_is_written_later_once_and_keeps_it() -> None:
    store, heard = dist.HashStore(), threading.Event()
    ear = Ear("failed")
    ear.listen(store, heard.set)
    assert not heard.wait(0.5)
    assert ear.told is None
    store.set("failed", '{"reason": "went bad"}')
    assert heard.wait(10)
    store.delete_key("failed")
    assert ear.told == {"reason": "went bad"}
    ear.close()


def test_it_ends_when_it_is_closed_and_calls_nobody() -> None:
    calls: list[int] = []
    ear = Ear("failed")
    ear.listen(dist.HashStore(), lambda: calls.append(1))
    began = time.monotonic()
    ear.close()
    assert time.monotonic() - began < 5
    assert "ear" not in {thread.name for thread in threading.enumerate()}
    assert calls == []
    Ear("failed").close()


def test_a_store_that_is_gone_is_no_error() -> None:
    server = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    ear = Ear("failed")
    ear.listen(dist.TCPStore("127.0.0.1", server.port, is_master=False), lambda: None)
    del server
    end = time.monotonic() + 10
    while "ear" in {thread.name for thread in threading.enumerate()} and time.monotonic() < end:
        time.sleep(0.05)
    assert "ear" not in {thread.name for thread in threading.enumerate()}
    assert ear.told is None
