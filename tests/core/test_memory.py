"""What counts as exhausted memory, whoever says it."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch

from simpletuner.core.memory import first_line, give_back, is_exhausted


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("could not create a primitive"),
    ],
)
def test_every_way_to_say_it_counts(error: Exception) -> None:
    assert is_exhausted(error)


@pytest.mark.parametrize(
    "error", [RuntimeError("size mismatch"), OSError(12, "Cannot allocate memory"), ValueError("out of memory")]
)
def test_other_errors_do_not(error: Exception) -> None:
    assert not is_exhausted(error)


def test_torch_says_it_in_one_of_these_ways() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60)
    assert is_exhausted(caught.value)
    assert "\n" not in first_line(caught.value)


def test_an_error_without_words_is_named_by_its_kind() -> None:
    assert first_line(MemoryError()) == "MemoryError"
    assert first_line(RuntimeError("\n one \n two")) == "one"


def test_what_only_cycles_hold_is_freed() -> None:
    class Held:
        me: object = None

    gc.disable()
    try:
        held = Held()
        held.me, gone = held, weakref.ref(held)
        del held
        assert gone() is not None
        give_back()
        assert gone() is None
    finally:
        gc.enable()
