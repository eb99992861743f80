"""Each method against the formula it is for, where LyCORIS alone would round, draw or mask otherwise."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from lycoris.modules.tlora import clear_timestep_mask, compute_timestep_mask, set_timestep_mask
from lycoris.wrapper import network_module_dict
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from simpletuner.adapters.lycoris.adapter import LycorisAdapter, attach_lycoris
from tests.adapters.lycoris.test_adapter import ALIASES, plain


def laid(kind: torch.dtype = torch.float32, seed: int = 0, **changes: Any) -> tuple[nn.Linear, LycorisAdapter]:
    """A frozen layer of 64 to 64 and the adapter over it."""
    torch.manual_seed(0)
    layer = nn.Linear(64, 64, bias=False).requires_grad_(requires_grad=False)
    layer.weight.copy_(torch.randn(64, 64) * 0.02)
    layer.to(kind)
    holder = nn.ModuleDict({"to_q": layer})
    return layer, attach_lycoris(holder, plain(**changes, apply_preset={}), ALIASES, seed=seed)


def stir(adapter: LycorisAdapter, size: float) -> None:
    draws = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(size * torch.randn(parameter.shape, generator=draws))


def rows(batch: int = 3) -> Tensor:
    return torch.randn(batch, 5, 64, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize(
    "changes",
    [
        *({"algo": algo} for algo in ("lora", "loha", "lokr", "diag-oft", "dylora", "full")),
        *({"algo": algo, "bypass_mode": False} for algo in ("lora", "loha", "lokr", "glora", "boft", "ia3")),
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_a_young_delta_survives_bf16(changes: dict[str, Any]) -> None:
    """The delta is a thousandth of the weight: what bf16 rounds away when the two are added."""
    inputs = rows().bfloat16()
    exact, wide = laid(**changes)
    with torch.no_grad():
        exact.weight.copy_(exact.weight.bfloat16())
    base = exact(inputs.float())
    stir(wide.eval(), 1e-4)
    true = exact(inputs.float()) - base
    layer, adapter = laid(torch.bfloat16, **changes)
    stir(adapter.eval(), 1e-4)
    module = next(iter(adapter.layers.values()))
    # The layer's own output left out: its rounding is the model's, not the adapter's.
    if module.bypass_mode:
        delta = module.bypass_forward_diff(inputs)
    else:
        module.org_forward = torch.zeros_like
        delta = layer(inputs)
    assert (delta.float() - true).norm() < 0.02 * true.norm()


def test_lycoris_alone_rounds_most_of_it_away() -> None:
    """Were it mended there, nothing of ours would be needed."""
    layer, adapter = laid(torch.bfloat16, algo="lora")
    stir(adapter.eval(), 1e-4)
    theirs = network_module_dict["lora"]("x", layer, 1.0, 4, 1, bypass_mode=False)
    theirs.load_state_dict(next(iter(adapter.layers.values())).state_dict())
    theirs.org_forward = torch.zeros_like
    delta, true = theirs.eval()(rows().bfloat16()), next(iter(adapter.layers.values())).bypass_forward_diff(rows())
    assert (delta.float() - true).norm() > 0.5 * true.norm()


def test_full_trains_the_difference_as_training_the_weight_would() -> None:
    layer, adapter = laid(algo="full")
    free = nn.Linear(64, 64, bias=False)
    free.weight.data.copy_(layer.weight)
    for model, parameters in ((layer, adapter.parameters()), (free, free.parameters())):
        optimizer = torch.optim.SGD(parameters, lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            model(rows()).square().mean().backward()
            optimizer.step()
    assert torch.allclose(layer(rows()), free(rows()), atol=1e-6)
    assert torch.allclose(adapter.tensors()["lycoris_to_q.diff"], free.weight - layer.weight, atol=1e-6)
    with adapter.strength(0.5):
        assert torch.allclose(layer(rows()), (free(rows()) + rows() @ layer.weight.T) / 2, atol=1e-6)


def test_dylora_draws_its_block_from_torch_and_uses_all_of_them_outside_training() -> None:
    layer, adapter = laid(algo="dylora", linear_dim=8, linear_alpha=8, block_size=2)
    stir(adapter, 0.1)

    def trained(seed: int) -> list[bool]:
        torch.manual_seed(seed)
        adapter.zero_grad()
        checkpoint(layer, rows(), use_reentrant=False).sum().backward()
        return [block.grad is not None and bool(block.grad.any()) for block in module.up_list]

    module = adapter.train().layers["to_q"]
    assert trained(0) == trained(0)
    drawn = {tuple(trained(seed)) for seed in range(20)}
    assert drawn == {tuple(number == place for number in range(4)) for place in range(4)}
    tensors = adapter.eval().tensors()
    delta = tensors["lycoris_to_q.lora_up.weight"] @ tensors["lycoris_to_q.lora_down.weight"]
    assert torch.allclose(layer(rows()), rows() @ (layer.weight + delta).T, atol=1e-5)


def one_mask(timestep: int) -> Tensor:
    """What LyCORIS's own T-LoRA gives with its one mask for all rows, at the rows of a stirred adapter."""
    layer, adapter = laid(algo="tlora", linear_dim=16)
    stir(adapter.eval(), 0.05)
    theirs = network_module_dict["tlora"]("x", layer, 1.0, 16, 1, bypass_mode=True)
    theirs.load_state_dict(adapter.layers["to_q"].state_dict(), strict=False)
    set_timestep_mask(compute_timestep_mask(timestep, 1000, 16))
    try:
        answer: Tensor = theirs.eval().bypass_forward_diff(rows())
    finally:
        clear_timestep_mask()
    return answer


@pytest.mark.parametrize("autocast", [False, True])
def test_each_row_of_a_batch_has_its_own_ranks(*, autocast: bool) -> None:
    layer, adapter = laid(algo="tlora", linear_dim=16)
    stir(adapter.eval(), 0.05)
    # The layer's own output left out, which autocast rounds.
    adapter.layers["to_q"].org_forward = torch.zeros_like
    adapter.before_pass(torch.tensor([0.93, 0.5, 0.0]))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        delta = layer(rows()).float()
    expected = torch.stack([one_mask(timestep)[row] for row, timestep in enumerate((930, 500, 0))])
    assert (delta - expected).norm() < (0.02 if autocast else 1e-4) * expected.norm()


def test_rows_and_shares_of_noise_must_agree() -> None:
    layer, adapter = laid(algo="tlora")
    adapter.before_pass(torch.zeros(2))
    with pytest.raises(ValueError, match="3 rows of input for 2 shares of noise"):
        layer(rows())


def test_the_schedule_of_the_file_is_used_and_other_shapes_of_input_fit() -> None:
    layer, adapter = laid(algo="tlora", linear_dim=8, tlora_min_rank=8)
    stir(adapter.eval(), 0.05)
    adapter.before_pass(torch.ones(3))
    noisy = layer(rows())
    adapter.before_pass(torch.zeros(3))
    assert torch.equal(layer(rows()), noisy)
    assert torch.allclose(layer(rows()[:, 0]), noisy[:, 0], atol=1e-6)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_an_untrained_tlora_is_the_base_model_to_the_bit_and_more_ranks_than_there_are_do_no_harm(
    kind: torch.dtype,
) -> None:
    layer, adapter = laid(torch.bfloat16, algo="tlora", linear_dim=80)
    adapter.narrow(kind)
    adapter.before_pass(torch.tensor([0.1, 0.5, 0.9]))
    inputs = rows().bfloat16()
    assert torch.equal(layer(inputs), inputs @ layer.weight.T)
    assert adapter.layers["to_q"].lambda_layer.dtype == torch.float32


def test_tlora_starts_with_the_largest_singular_vectors_as_lycoris_does() -> None:
    layer, adapter = laid(algo="tlora", linear_dim=4)
    ours, theirs = adapter.layers["to_q"], network_module_dict["tlora"]("x", layer, 1.0, 4, 1)
    first = [each.base_p @ each.base_lambda.diag_embed()[0] @ each.base_q for each in (ours, theirs)]
    assert torch.allclose(*first, atol=1e-6)


def test_rank_dropout_is_wrong_in_lycoris_where_it_is_refused() -> None:
    """Were it mended there, the refusals would be idle."""
    layer = nn.Linear(64, 64, bias=False).requires_grad_(requires_grad=False)
    torch.manual_seed(0)
    glora = network_module_dict["glora"]("x", layer, 1.0, 32, 32, rank_dropout=0.05, bypass_mode=True)
    nn.init.normal_(glora.a2.weight)
    nn.init.normal_(glora.b2.weight)
    whole, dropped = glora.eval().bypass_forward_diff(rows()), glora.train().bypass_forward_diff(rows())
    assert dropped.norm() < 0.5 * whole.norm(), "a twentieth of the ranks should be missing, not left"
    rotation = network_module_dict["diag-oft"]("x", layer, 1.0, 4, 1, rank_dropout=0.5)
    rotation.apply_to()
    base = rows() @ layer.weight.T
    assert (layer(rows()) - base).norm() > 0.5 * base.norm(), "an untrained rotation should be none"
