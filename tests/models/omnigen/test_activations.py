from __future__ import annotations

import pytest
import torch

from simpletuner.core.batch import Prompt
from simpletuner.models.omnigen.activations import entry_per_token, kept_per_token
from simpletuner.models.omnigen.attention import run_block, sequence_of
from simpletuner.models.omnigen.prompt import collate
from simpletuner.models.omnigen.rotary import RotaryStore
from simpletuner.models.recompute import saved_bytes
from tests.models.omnigen.tiny_model import random_omnigen


@pytest.mark.parametrize("adapted", [False, True])
@pytest.mark.parametrize("sizes", [{}, {"hidden_size": 96, "num_attention_heads": 6, "intermediate_size": 256}])
@pytest.mark.parametrize("key_value_heads", [2, None])
def test_the_arithmetic_is_what_autograd_keeps(
    sizes: dict[str, int], key_value_heads: int | None, *, adapted: bool
) -> None:
    heads = key_value_heads or sizes.get("num_attention_heads", 4)
    model = random_omnigen(**sizes, num_key_value_heads=heads).requires_grad_(requires_grad=False)
    block = model.layers[0]
    for module in block.modules():
        # A trained linear keeps its input, as an adapter over it does.
        if adapted and isinstance(module, torch.nn.Linear):
            module.requires_grad_(requires_grad=True)
    texts = collate([Prompt(torch.arange(3, 20))] * 3, torch.device("cpu"))
    sequence = sequence_of(RotaryStore(model.rope), texts, (64, 64, 64))
    hidden = torch.randn(3, 82, model.config.hidden_size, requires_grad=True)
    beside = [*block.parameters(), sequence.rotary.cos, sequence.rotary.sin]
    kept = saved_bytes(lambda: run_block(block, hidden, sequence), beside)
    computed = 3 * 82 * kept_per_token(model.config, 4, adapted=adapted)
    # Grouped heads are repeated by the kernel of a CPU.
    assert computed == pytest.approx(kept, rel=0.02 if key_value_heads is None else 0.2)
    assert hidden.nbytes == 3 * 82 * entry_per_token(model.config, 4)
