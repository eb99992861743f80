"""The model card of the tiny transformer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch

from .files import FLAT_SHOWN_LIST, HELD_OUT_LIST, ROOT, TRAINED_LIST, read_json, read_names
from .fit import best_device

REPORT = ROOT / "docs" / "tiny-world.json"
FIGURES = MappingProxyType(
    {
        "drawn_nearest_in_clip_of_100": "100 training names: drawn nearest to their own emoji among 100, for the CLIP",
        "drawn_nearest_in_pixels_of_100": "the same in pixels at 32 px",
        "asked_for_flat_is_flat": '50 names with "flat drawing" that it never saw flat: drawn flat',
    }
)


@dataclass(frozen=True)
class Run:
    """What a training's own records say: updates, hours, and the mean loss of the last 100 updates."""

    updates: int
    hours: float
    loss: float


def read_run(run: Path) -> Run:
    """Sum up the records of a finished training."""
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    last = [record["train_loss"] for record in records[-100:]]
    hours = sum(record["step_seconds"] for record in records) / 3600
    return Run(len(records), hours, sum(last) / len(last))


def _figures() -> str:
    """The gates that concern this model, as rows, when the report has measured it."""
    if not REPORT.is_file():
        return ""
    figures = read_json(REPORT)
    return "".join(f"| {words} | {figures[name]} |\n" for name, words in FIGURES.items() if name in figures)


def card(config: Mapping[str, object], first: Run, second: Run) -> str:
    """The model card, with what the runs themselves recorded."""
    flat = len(read_names(FLAT_SHOWN_LIST))
    return f"""---
license: mit
library_name: diffusers
---

# Transformer of the tiny OmniGen

diffusers' `OmniGenTransformer2DModel` with {config["num_layers"]} blocks, d = {config["hidden_size"]}, feed-forward
{config["intermediate_size"]} and a vocabulary of {config["vocab_size"]}: 7.36 M parameters. It draws Fluent emoji at
64 px from their names, in the latents of the VAE beside it, and knows nothing else. The words "flat drawing" behind a
name ask for the flat style.

| | |
|---|---|
| Data, first training | {len(read_names(TRAINED_LIST)):,} pictures of Microsoft's Fluent 3D emoji, MIT (npm \
`@lobehub/fluent-emoji-3d`), names from Unicode CLDR |
| Data, second training | the same, and {flat:,} flat drawings, MIT (npm `fluentui-emoji`) |
| Training | `simpletuner train` with the files of `scripts/tiny/transformer`, batches of 64: \
{first.updates:,} and then {second.updates:,} updates |
| Time | {first.hours:.1f} and {second.hours:.1f} hours on {_machine()}, fp32 |
| Loss | {first.loss:.3f} and {second.loss:.3f}, mean of the last 100 updates (velocity MSE; the target's variance is \
about 2) |
| Weights | the average (EMA 0.995), stored in fp16; `patch_embedding.pos_embed` is a formula and left out |
{_figures()}
It was never shown the {len(read_names(HELD_OUT_LIST))} emoji of `scripts/tiny/held_out.txt`, nor flat drawings of other
subjects than those of `scripts/tiny/flat_shown.txt`. MIT licence.
"""


def _machine() -> str:
    return torch.cuda.get_device_name() if best_device().type == "cuda" else "two busy cores of an AMD EPYC, no GPU"
