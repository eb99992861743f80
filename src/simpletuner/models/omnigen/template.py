"""The text that OmniGen reads around a caption; no torch, so that `check` can count tokens."""

from __future__ import annotations

import re

UNCONDITIONAL = "<cfg>"
"""The instruction that training puts in place of a dropped caption (the official trainer's)."""

PICTURE_TAG = re.compile(r"<\|image_(\d+)\|>")
"""Where the picture of that number stands in a prompt, counted from 1."""

_BEFORE = "<|user|>\nGenerate an image according to the following instructions\n"
_AFTER = "<|end|>\n<|assistant|>\n<|diffusion|>"


def instruction(prompt: str) -> str:
    """The chat text that OmniGen reads for ``prompt``."""
    return f"{_BEFORE}{prompt}{_AFTER}"


def pictures_alone(count: int) -> str:
    """The prompt of ``count`` input pictures and no words, which image guidance starts from (as the references do)."""
    return " ".join(f"<img><|image_{number}|></img>" for number in range(1, count + 1))


def with_pictures(prompt: str, count: int) -> str:
    """``prompt`` with ``count`` input pictures before its words, unless it says itself where pictures stand."""
    if not count or PICTURE_TAG.search(prompt):
        return prompt
    return f"{pictures_alone(count)} {prompt}".strip()
