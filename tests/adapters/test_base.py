"""What every adapter refuses in the same words."""

from __future__ import annotations

import pytest
import torch

from simpletuner.adapters.base import difference, require_fit
from simpletuner.core.errors import DataError

OWN = {"a": torch.zeros(2, 3), "b": torch.zeros(4)}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"a": OWN["a"]}, "1 tensors are missing, the first is b"),
        ({**OWN, "c": OWN["b"]}, "1 tensors are not its own, the first is c"),
        ({**OWN, "a": torch.zeros(3, 2)}, r"a has shape \(3, 2\), not \(2, 3\)"),
    ],
)
def test_a_file_of_another_adapter_is_refused_with_what_to_do(given: dict[str, torch.Tensor], told: str) -> None:
    with pytest.raises(DataError, match=f"does not fit this adapter: {told}") as caught:
        require_fit(OWN, given, "lora_rank")

    assert caught.value.cure == "use the lora_rank it was trained with, or start fresh with --fresh"


def test_names_and_shapes_are_all_that_has_to_fit() -> None:
    given = {name: torch.ones_like(tensor, dtype=torch.bfloat16) for name, tensor in reversed(OWN.items())}

    assert difference(OWN, given) == ""
    require_fit(OWN, given, "lora_rank")
