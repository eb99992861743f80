"""A real OmniGen of 2 blocks with random weights, small enough to run in milliseconds."""

from __future__ import annotations

import torch

from simpletuner.models.omnigen.denoiser import OmniGenDenoiser

HEAD = 16


def random_omnigen(seed: int = 0, std: float = 0.1, **changes: object) -> OmniGenDenoiser:
    """d = 64, 4 heads, 2 blocks, vocabulary 2048; long rotary factors that differ from the short ones."""
    options: dict[str, object] = {
        "hidden_size": 64,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "intermediate_size": 128,
        "num_layers": 2,
        "pad_token_id": 0,
        "vocab_size": 2048,
        "rope_scaling": {"short_factor": [1.0] * (HEAD // 2), "long_factor": [1.7] * (HEAD // 2)},
    }
    model = OmniGenDenoiser(**(options | changes)).eval()
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draws) * std)
    return model
