"""torch generators by key."""

from __future__ import annotations

import torch

from simpletuner.core.seeds import generator


def test_generators_do_not_touch_the_global_stream() -> None:
    torch.manual_seed(0)
    expected = torch.randn(3)
    torch.manual_seed(0)
    torch.randn(100, generator=generator("anything"))
    assert torch.equal(torch.randn(3), expected)
