"""The text that OmniGen reads around a caption; no torch, so that `check` can count tokens."""

from __future__ import annotations

UNCONDITIONAL = "<cfg>"
"""The instruction that training puts in place of a dropped caption (the official trainer's)."""

_BEFORE = "<|user|>\nGenerate an image according to the following instructions\n"
_AFTER = "<|end|>\n<|assistant|>\n<|diffusion|>"


def instruction(prompt: str) -> str:
    """The chat text that OmniGen reads for ``prompt``."""
    return f"{_BEFORE}{prompt}{_AFTER}"
