from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import Parameter

from simpletuner.core.errors import ConfigError
from simpletuner.models.host_copy import HostBlock, PlainCopier, copier_for


class Odd(nn.Module):
    """Tensors of several types, one held twice, one the other way round in memory, one trained, one empty."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = Parameter(torch.randn(5, 3), requires_grad=False)
        self.again = self.weight
        self.trained = Parameter(torch.randn(4))
        self.register_buffer("turned", torch.randn(7, 2).t())
        self.register_buffer("small", torch.randint(-128, 127, (3, 3), dtype=torch.int8))
        self.register_buffer("tiny", torch.randn(6).to(torch.float8_e4m3fn))
        self.register_buffer("scale", torch.tensor(2.5, dtype=torch.bfloat16))
        self.register_buffer("nothing", torch.empty(0))


def values(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.float().clone() for name, tensor in module.state_dict().items()}


def test_every_frozen_tensor_keeps_its_values_type_and_order_wherever_it_lies() -> None:
    block = Odd()
    before, strides, trained = values(block), block.turned.stride(), block.trained.data_ptr()
    home = HostBlock(block)
    slot = torch.zeros(home.nbytes + 100, dtype=torch.uint8)
    PlainCopier().start(0, home.flat, slot)
    for place in (home.hide, lambda: home.show(slot), home.hide):
        place()
        assert all(torch.equal(value, before[name]) for name, value in values(block).items())
        assert block.turned.stride() == strides
        assert block.again is block.weight
        assert block.trained.data_ptr() == trained
    home.show(slot)
    slot.zero_()
    assert block.weight.count_nonzero() == block.small.count_nonzero() == 0
    home.hide()
    assert torch.equal(block.weight, before["weight"])


def test_a_block_without_its_tensors_can_be_moved_and_gets_them_back() -> None:
    block = Odd()
    home = HostBlock(block)
    weight, small = block.weight, block.small
    home.detach()
    assert [name for name, _ in block.named_parameters()] == ["trained"]
    block.to(torch.float64)
    home.attach()
    assert block.weight is block.again is weight
    assert block.small is small
    assert block.trained.dtype == torch.float64


def test_a_tensor_whose_bytes_are_elsewhere_is_refused() -> None:
    class Packed(Parameter):
        pass

    block = nn.Module()
    block.weight = Packed(torch.ones(2), requires_grad=False)
    with pytest.raises(ConfigError, match="musubi_blocks_to_swap: 'weight' is a Packed"):
        HostBlock(block)


@pytest.mark.gpu
def test_a_copy_beside_the_computation_arrives_before_it_is_read() -> None:
    device = torch.device("cuda")
    host = torch.arange(2**24, dtype=torch.uint8).pin_memory()
    slot, copier = torch.zeros(2**24 + 5, dtype=torch.uint8, device=device), copier_for(device)
    copier.start(0, host, slot)
    copier.wait(0)
    assert torch.equal(slot[: len(host)].cpu(), host)
