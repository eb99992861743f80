from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from simpletuner.core.errors import ConfigError
from simpletuner.models.attention_kernel import attention_kernel, require_kernel

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["diffusers", "sdpa-math", "sdpa-flash"])
def test_a_cpu_has_these(name: str) -> None:
    require_kernel(name, CPU)


@pytest.mark.parametrize("name", ["sdpa-efficient", "sdpa-cudnn"])
def test_what_a_cpu_lacks_is_refused_with_what_it_has(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"attention_mechanism: '{name}' does not run on 'cpu'.*\n.*sdpa-flash"):
        require_kernel(name, CPU)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["sdpa-flash", "sdpa-efficient", "sdpa-cudnn", "sdpa-math"])
def test_a_card_runs_each_of_its_kernels(name: str) -> None:
    device = torch.device("cuda")
    try:
        require_kernel(name, device)
    except ConfigError as refused:
        pytest.skip(str(refused))
    states = torch.randn(1, 4, 64, 96, device=device, dtype=torch.bfloat16)
    with attention_kernel("sdpa-math"):
        expected = scaled_dot_product_attention(states, states, states)
    with attention_kernel(name):
        found = scaled_dot_product_attention(states, states, states)
    assert (found - expected).abs().max() < 0.02 * expected.abs().max()


def kernels_used(name: str) -> set[str]:
    """The functions of autograd that attention leaves in the graph."""
    states = torch.randn(1, 2, 16, 8, requires_grad=True)
    with attention_kernel(name):
        result = scaled_dot_product_attention(states, states, states)
    assert result.grad_fn is not None
    return {result.grad_fn.name(), *(before.name() for before, _ in result.grad_fn.next_functions if before)}


def test_the_named_kernel_runs_and_the_choice_ends_with_the_block() -> None:
    assert any("Flash" in name for name in kernels_used("sdpa-flash"))
    assert not any("Flash" in name for name in kernels_used("sdpa-math"))
    assert kernels_used("diffusers") == kernels_used("sdpa-flash")
