"""What fits on which card: the recipes of docs/memory-and-speed.md, and the cards of this machine."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OWN_NEED = 1.0
"""Gigabytes that the card's context and workspaces take beside what is counted."""
_MOST_COUNTED = 6
# Gigabytes (10^9 bytes), counted: weights, adapter and optimizer; then one picture of 1024 x 1024 with checkpointing.
_BASE = {"no_change": 8.0, "int8-quanto": 4.4, "nf4-bnb": 2.6}
_PICTURE = 1.47
_AMD = Path("/sys/class/drm")
_QUERY = ("--query-gpu=name,memory.total", "--format=csv,noheader,nounits")
_LEAST_AMD = 4.0
# A card that is sold as 24 GB answers 22.5 to 24.
_SOLD_AS = 1.08


@dataclass(frozen=True)
class Card:
    """A class of devices: its title, gigabytes (0 is none of its own), number format of the base, usual batch.

    ``flavour`` is the model for it where that is not the usual one.
    """

    title: str
    gigabytes: int
    precision: str
    batch: int
    swapped_blocks: int = 0
    flavour: str | None = None

    @property
    def recipe(self) -> dict[str, Any]:
        """The options that the card decides."""
        options: dict[str, Any] = {
            "base_model_precision": self.precision,
            "optimizer": "adamw_bf16",
            "mixed_precision": "bf16" if self.gigabytes else "no",
            "gradient_checkpointing": True,
            "vae_batch_size": 1,
        }
        if self.flavour:
            options["model_flavour"] = self.flavour
        if self.precision != "no_change":
            # The whole model would not fit before it is quantised.
            options["quantize_via"] = "cpu"
        if self.swapped_blocks:
            options["musubi_blocks_to_swap"] = self.swapped_blocks
        if 0 < self.gigabytes <= 12:
            options["vae_enable_tiling"] = True
        return options


CARDS = {
    "6": Card("less than 8 GB", 6, "int8-quanto", 1, swapped_blocks=16),
    "8": Card("8 GB", 8, "int8-quanto", 1),
    "10": Card("10 GB", 10, "int8-quanto", 2),
    "12": Card("12 GB", 12, "no_change", 1),
    "16": Card("16 GB", 16, "no_change", 2),
    "24": Card("24 GB", 24, "no_change", 3),
    "48": Card("48 GB or more", 48, "no_change", 6),
    "apple": Card("Apple silicon", 16, "no_change", 1),
    "cpu": Card("none, CPU only", 0, "no_change", 1, flavour="tiny"),
}
DOCUMENTS_CARD = "24"


def counted(precision: str, edge: int, batch: int) -> float:
    """Gigabytes of all tensors at the worst moment of a step with gradient checkpointing, the card's own apart."""
    return _BASE[precision] + _PICTURE * batch * (edge / 1024) ** 2


def most_pictures(card: Card, edge: int) -> int:
    """The largest batch that the count leaves room for, at least 1 and at most 6, which is as far as was counted."""
    if not card.gigabytes:
        return _MOST_COUNTED
    room = card.gigabytes - OWN_NEED - counted(card.precision, edge, 0)
    return max(1, min(_MOST_COUNTED, int(room / counted_picture(edge))))


def counted_picture(edge: int) -> float:
    """Gigabytes that one more picture takes."""
    return _PICTURE * (edge / 1024) ** 2


def usual_batch(card: Card, edge: int) -> int:
    """The batch to begin with: it leaves room for the pictures of validation."""
    wanted = card.batch if edge > 768 else 2 * card.batch
    return min(wanted, most_pictures(card, edge))


@dataclass(frozen=True)
class Machine:
    """The cards of this machine: names as their driver has them, and the class of the smallest; none found is empty."""

    cards: tuple[str, ...] = ()
    kind: str = ""


def card_of(gigabytes: float) -> str:
    """The class of a card with so much memory, as its driver tells it in GiB."""
    fitting = [name for name, card in CARDS.items() if name.isdecimal() and card.gigabytes <= gigabytes * _SOLD_AS]
    return fitting[-1] if fitting else "6"


def read_cards(lines: Sequence[str]) -> Machine:
    """What ``nvidia-smi`` said, ``name, MiB`` a line; lines that are something else are passed over."""
    pairs = [line.rsplit(",", 1) for line in lines if "," in line]
    found = [(name.strip(), int(size)) for name, size in pairs if size.strip().isdecimal()]
    if not found:
        return Machine()
    return Machine(tuple(name for name, _ in found), card_of(min(size for _, size in found) / 1024))


def read_amd(folder: Path) -> Machine:
    """What AMD's driver says of its cards below ``folder``; a processor's own graphics is not among them."""
    files = sorted(folder.glob("card*/device/mem_info_vram_total"))
    sizes = [int(file.read_text()) / 2**30 for file in files]
    cards = [size for size in sizes if size >= _LEAST_AMD]
    return Machine(tuple(f"AMD, {size:.0f} GB" for size in cards), card_of(min(cards))) if cards else Machine()


def detect() -> Machine:
    """Ask the driver; a machine without one, or whose driver does not answer in 5 seconds, has no cards."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return Machine(("Apple silicon",), "apple") if sys.platform == "darwin" else read_amd(_AMD)
    try:
        said = subprocess.run([program, *_QUERY], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return Machine()
    return read_cards(said.stdout.splitlines()) if said.returncode == 0 else Machine()
