"""What a LyCORIS file does not hold of a method's state, so that a resume needs it apart. Decided by method alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# With `use_scalar` LyCORIS writes a factor times the scalar, and reads the scalar as 1.
_FOLDED = {
    "lora": ("lora_up.weight",),
    "locon": ("lora_up.weight",),
    "loha": ("hada_w1_a",),
    "lokr": ("lokr_w1", "lokr_w1_a"),
    "glora": ("a2.weight", "b2.weight"),
}
# T-LoRA writes the trained values; what they are compared with it computes from the weight, on this machine.
_FIRST_VALUES = {"tlora": ("base_q", "base_p", "base_lambda")}


def unsaved_names(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The parameters and buffers of a layer with these settings that its public tensors do not restore exactly.

    A layer has those of them that its shape calls for.
    """
    algo = settings["algo"]
    folded = ("scalar", *_FOLDED[algo]) if settings.get("use_scalar") and algo in _FOLDED else ()
    return folded + _FIRST_VALUES.get(algo, ())
