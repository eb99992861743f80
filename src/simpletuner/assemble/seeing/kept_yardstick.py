"""What losses are held against, kept for the next start where windows move: the first epoch's latents are gone then."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from simpletuner.assemble.data.prepared import Prepared
from simpletuner.core.files import write_json
from simpletuner.data.entries import Entry
from simpletuner.diffusion.references.linear import LinearReference
from simpletuner.diffusion.references.yardstick import Yardstick

FILE = "loss_yardstick.json"


def key_of(places: Sequence[tuple[Prepared, Entry]]) -> str | None:
    """Stands for the latents of ``places`` and their weights; None where the bytes of a picture are not known yet."""
    digest = hashlib.sha256()
    for made, entry in places:
        known = made.cache.digests.get(entry.sample.path)
        if known is None:
            return None
        digest.update(f"{made.latents_in.key(entry, known)} {made.config.repeats}\n".encode())
    return digest.hexdigest()


def read_kept(file: Path) -> dict[str, Any]:
    """What was kept in ``file``; empty where there is no such file, or it is none of ours."""
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def kept_yardstick(output_dir: Path, key: str | None) -> Yardstick | None:
    """What an earlier start of the run measured on the latents of ``key``."""
    found = read_kept(output_dir / FILE)
    if key is None or found.get("of") != key:
        return None
    tables = {
        (height, width): torch.tensor(losses, dtype=torch.float64) for height, width, losses in found["linear_by_size"]
    }
    return Yardstick(found["variance"], LinearReference(tables))


def keep_yardstick(output_dir: Path, key: str | None, found: Yardstick) -> None:
    """Keep ``found``, which was measured on the latents of ``key``. Raises OSError."""
    tables = [[*size, table.tolist()] for size, table in found.linear.tables.items()]
    write_json(output_dir / FILE, {"of": key, "variance": found.variance, "linear_by_size": tables})
