from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from simpletuner.training.parallel.shards import complete, fill, gathered, is_shared, own, shared_like


@pytest.fixture
def mesh() -> Iterator[DeviceMesh]:
    """One process that shares with nobody."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


def test_parts_are_made_whole_and_filled(mesh: DeviceMesh) -> None:
    whole = torch.arange(6.0).view(3, 2)
    shared = distribute_tensor(whole, mesh, [Shard(0)])
    assert is_shared(shared)
    assert complete(shared).equal(whole)
    assert own(shared).equal(whole)
    assert gathered({"a": shared, "b": whole}, keep=True)["a"].equal(whole)
    assert gathered({"a": shared, "b": whole}, keep=False) == {}
    fill(shared, whole * 2)
    assert own(shared).equal(whole * 2)
    alike = shared_like(whole, shared)
    assert is_shared(alike)
    assert complete(alike).equal(whole)


def test_whole_tensors_are_as_they_are() -> None:
    value = torch.ones(3)
    assert not is_shared(value)
    assert complete(value) is own(value) is value
    assert shared_like(value, torch.zeros(3)) is value
    target = torch.zeros(3)
    fill(target, value)
    assert target.equal(value)
