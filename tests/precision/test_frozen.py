from __future__ import annotations

import torch
from torch import nn

from simpletuner.precision.frozen import DenseWeight, frozen_weight
from simpletuner.precision.linear import QuantisedLinear
from simpletuner.precision.stored import ScaledWeight


def test_the_two_products_of_a_dense_layer() -> None:
    layer = nn.Linear(8, 6).requires_grad_(requires_grad=False)
    weight = frozen_weight(layer)
    assert isinstance(weight, DenseWeight)
    inputs, gradient = torch.randn(2, 3, 8), torch.randn(2, 3, 6)
    torch.testing.assert_close(weight.forward_product(inputs), inputs @ layer.weight.T)
    torch.testing.assert_close(weight.backward_product(gradient), gradient @ layer.weight)
    assert weight.forward_product(inputs.bfloat16()).dtype == torch.bfloat16
    assert weight.backward_product(gradient.bfloat16()).dtype == torch.bfloat16


def test_a_dense_layer_is_followed_when_it_moves() -> None:
    layer = nn.Linear(8, 6)
    weight = frozen_weight(layer)
    layer.to(torch.float64)
    assert weight.forward_product(torch.randn(1, 8, dtype=torch.float64)).dtype == torch.float64
    layer.to("meta")
    assert weight.forward_product(torch.randn(1, 8, device="meta")).device.type == "meta"


def test_a_quantised_layer_gives_its_stored_weight() -> None:
    stored = ScaledWeight(torch.zeros(6, 8), torch.zeros(6, 8, dtype=torch.int8), torch.ones(6))
    assert frozen_weight(QuantisedLinear(stored, None)) is stored
