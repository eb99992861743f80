"""A very small model of the official package with random weights, and its processor with the tiny tokenizer."""

from __future__ import annotations

from pathlib import Path

import torch
from OmniGen import OmniGen, OmniGenProcessor
from torch import Tensor
from transformers import AutoTokenizer, Phi3Config

from .cases import ORIGINAL_POSITIONS

ROOT = Path(__file__).resolve().parents[2]
TOKENIZER = ROOT / "src" / "simpletuner" / "models" / "omnigen" / "tiny" / "tokenizer"
HEAD = 16
SHORT_FACTORS = [1.0 + 0.01 * index for index in range(HEAD // 2)]
LONG_FACTORS = [1.2 + 0.3 * index for index in range(HEAD // 2)]
POSITIONS = "pos_embed"
"""The table of positions is a formula, and would be most of the file."""


def config() -> Phi3Config:
    """Width 64, 4 heads, 2 blocks; short and long rotary factors differ, and 112 positions are the border."""
    return Phi3Config(
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        vocab_size=2048,
        pad_token_id=3,
        original_max_position_embeddings=ORIGINAL_POSITIONS,
        max_position_embeddings=32 * ORIGINAL_POSITIONS,
        rope_scaling={"type": "su", "short_factor": SHORT_FACTORS, "long_factor": LONG_FACTORS},
    )


def _random(name: str, shape: torch.Size, draws: torch.Generator) -> Tensor:
    """Values that bf16 holds exactly, so that they are stored in half the bytes; norms are about 1."""
    values = torch.randn(shape, generator=draws) * 0.15
    return (values + float("norm" in name)).bfloat16().float()


def random_model() -> OmniGen:
    """The model in fp32 on the CPU, the same at every call."""
    model = OmniGen(config())
    draws = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(_random(name, parameter.shape, draws))
    return model.eval()


def processor() -> OmniGenProcessor:
    """The official processor."""
    return OmniGenProcessor(AutoTokenizer.from_pretrained(TOKENIZER))


def hidden_size(model: OmniGen) -> int:
    """The width of the hidden states, which the collator pads with."""
    return int(model.llm.config.hidden_size)
