from __future__ import annotations

from collections.abc import Iterable

import torch
from hypothesis import given
from torch import Tensor, nn

from simpletuner.models.block_swap import BlockSwap, Way, wanted
from simpletuner.models.host_copy import PlainCopier
from simpletuner.models.rotation import SLOTS
from tests.models.test_rotation import swaps

CPU = torch.device("cpu")


def test_what_is_wanted_while_a_block_runs() -> None:
    order = (0, 3, 6, 9)
    assert wanted(order, 3, Way.FORWARD) == (3, 6)
    assert wanted(order, 4, Way.FORWARD) == (6, 9)
    assert wanted(order, 10, Way.FORWARD) == ()
    assert wanted(order, 9, Way.ROUND) == (9, 0)
    assert wanted(order, 10, Way.ROUND) == (0, 3)
    assert wanted(order, 9, Way.BACKWARD) == (9, 6)
    assert wanted(order, 5, Way.BACKWARD) == (3, 0)


class Noting(PlainCopier):
    """Copies, and writes down what it is asked for."""

    def __init__(self, flats: Iterable[Tensor]) -> None:
        self.names = [flat.data_ptr() for flat in flats]
        self.fetched: list[int] = []

    def start(self, slot: int, host: Tensor, device: Tensor) -> None:
        super().start(slot, host, device)
        self.fetched.append(self.names.index(host.data_ptr()))


def layers(blocks: int) -> list[nn.Module]:
    return [nn.Linear(3, 3).requires_grad_(requires_grad=False) for _ in range(blocks)]


def noted(swap: BlockSwap) -> Noting:
    """A swap whose slots exist, with a copier that takes notes."""
    swap.visit(0, CPU, Way.FORWARD)
    copier = Noting(swap._homes[index].flat for index in swap.order)
    swap._copier = copier
    return copier


@given(swaps())
def test_a_pass_has_every_weight_in_time_in_two_slots_and_copies_what_is_away(swap: tuple[int, int]) -> None:
    blocks, swapped = swap
    model = layers(blocks)
    values = [layer.weight.clone() for layer in model]
    held = BlockSwap(model, swapped)
    copier = noted(held)
    for way, indices in (
        (Way.FORWARD, range(blocks)),
        (Way.BACKWARD, reversed(range(blocks))),
        (Way.FORWARD, range(blocks)),
    ):
        copier.fetched.clear()
        for index in indices:
            held.visit(index, CPU, way)
            slots = {slot.untyped_storage().data_ptr() for slot in held._slots}
            assert len(held.resident) <= SLOTS == len(slots)
            assert torch.equal(model[index].weight, values[index])
            assert (model[index].weight.untyped_storage().data_ptr() in slots) == (index in held.order)
        assert len(copier.fetched) == len(set(copier.fetched)) == swapped, (
            "a pass begins with the two that the last one ended with"
        )


@given(swaps())
def test_every_copy_but_the_first_starts_before_its_block_is_due(swap: tuple[int, int]) -> None:
    blocks, swapped = swap
    held = BlockSwap(layers(blocks), swapped)
    held.visit(0, CPU, Way.ROUND)
    for _ in range(2):
        for index in range(blocks):
            before = held.resident
            held.visit(index, CPU, Way.ROUND)
            if index in held.order:
                assert index in before, "it was fetched while an earlier block ran"


def test_a_move_leaves_the_rotating_weights_in_host_memory_and_moves_the_rest() -> None:
    model = nn.ModuleList(layers(4))
    held = BlockSwap(model, 1)
    assert held.order == (0, 1, 2)
    held.visit(0, CPU, Way.FORWARD)
    with held.away():
        model.to("meta")
    assert [layer.weight.device.type for layer in model] == ["cpu", "cpu", "cpu", "meta"]
    assert held.resident == frozenset()
    assert held.host_bytes == 3 * held.slot_bytes
    assert {name for name, _ in model.named_parameters()} == {
        f"{i}.{part}" for i in range(4) for part in ("weight", "bias")
    }
