from __future__ import annotations

import pytest
import torch
from torch.nn import Parameter

from simpletuner.core.errors import DataError, NonFiniteError, OutOfMemory
from simpletuner.core.samples import SampleId, Update, Use
from simpletuner.training.gradients import GradientSize
from simpletuner.training.parallel.replicas import Replicas

ALONE = Replicas(torch.device("cpu"))
USES = tuple(Use(SampleId("d", name), 0) for name in "ab")


def test_alone_nothing_is_exchanged() -> None:
    weight = Parameter(torch.ones(2))
    weight.grad = torch.tensor([1.0, 2.0])
    ALONE.sum_gradients([weight, Parameter(torch.ones(1))])
    assert weight.grad.tolist() == [1, 2]
    assert ALONE.sum(torch.tensor([3.0])).tolist() == [3]
    assert (ALONE.any(True), ALONE.any(False)) == (True, False)
    assert ALONE.whole_size(GradientSize(1.0, 2.0)) == GradientSize(1.0, 2.0)
    assert (ALONE.rank, ALONE.count, ALONE.is_first, ALONE.is_sharded) == (0, 1, True, False)


def test_alone_there_is_nobody_to_name() -> None:
    assert ALONE.all_said(["halved"]) == ["halved"]
    error = NonFiniteError("no latent", files=("frog",))
    with pytest.raises(NonFiniteError) as raised, ALONE.in_step():
        raise error
    assert raised.value is error
    assert not ALONE.is_torn


def test_empty_micro_batches_are_left_out() -> None:
    update = Update("d", "1.0", USES)
    assert ALONE.passes([USES[:1], (), USES[1:]], update) == [(USES[:1], True), (USES[1:], True)]


def test_memory_that_runs_out_while_weights_move_is_named_and_nothing_is_saved_after_it() -> None:
    alone = Replicas(torch.device("cpu"))
    with pytest.raises(OutOfMemory, match="no memory to move the weights: no room"), alone.moving():
        raise MemoryError("no room")
    assert alone.is_torn
    assert not Replicas(torch.device("cpu")).is_torn


def test_errors_pass_through() -> None:
    for around in (ALONE.in_step, ALONE.in_passes, ALONE.together):
        with pytest.raises(DataError, match="went bad"), around():
            raise DataError("went bad")
