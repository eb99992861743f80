"""What `bucket_mixing: pad` costs: the same pictures in micro-batches of mixed sizes and of one size each.

``python -m benchmarks.mixing [--rounds N] [--json FILE]``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from benchmarks.timing import Figures, alternated, ratio, surroundings
from simpletuner.adapters.lycoris.adapter import attach_lycoris
from simpletuner.config.files.lycoris import read_lycoris
from simpletuner.config.reading.find import example_folder
from simpletuner.core.batch import Latents
from simpletuner.core.samples import SampleId, Use
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.layers import FACTS, TINY_FOLDER
from simpletuner.training.batches import BatchMaker
from simpletuner.training.model import TrainedModel
from simpletuner.training.step import row_losses

_PICTURES, _ROWS = 16, 4
_TEXT_TOKENS = 40
# Pixels (width, height), as many as a micro-batch has rows.
_SETS = {
    "one_area": ((80, 192), (96, 160), (112, 144), (128, 128)),
    "one_short_edge": ((128, 128), (128, 176), (128, 224), (128, 256)),
    "four_resolutions": ((64, 64), (96, 96), (128, 128), (192, 192)),
    "all_alike": ((128, 128),) * 4,
}
_ROOM = torch.device("cpu")


@dataclass
class _Bench:
    """Sixteen pictures of four sizes, cut both ways into micro-batches of four."""

    model: TrainedModel
    sizes: Sequence[tuple[int, int]]
    uses: list[Use] = field(default_factory=lambda: [Use(SampleId("d", str(at)), 0) for at in range(_PICTURES)])

    def __post_init__(self) -> None:
        self._batches = BatchMaker(
            seed=0,
            latents=self._latents,
            masks=lambda _use: None,
            references=lambda _use: (),
            captions=lambda _use: ("a",),
            tokens=lambda _caption, _pictures: torch.arange(3, 3 + _TEXT_TOKENS),
            unconditional=torch.tensor([1]),
            dropout=0.0,
        )

    def mixed(self) -> None:
        """One picture of each size in every micro-batch."""
        self._update([self.uses[start : start + _ROWS] for start in range(0, _PICTURES, _ROWS)])

    def bucketed(self) -> None:
        """Four pictures of one size in every micro-batch."""
        self._update([self.uses[start::_ROWS] for start in range(_ROWS)])

    def _latents(self, use: Use) -> Latents:
        width, height = self.sizes[int(use.sample.path) % _ROWS]
        nothing = torch.zeros(4, height // 8, width // 8)
        return Latents(nothing, nothing)

    def _update(self, slices: Sequence[Sequence[Use]]) -> None:
        for uses in slices:
            (row_losses(self.model, self._batches.make(uses), _ROOM).sum() / _PICTURES).backward()
        self.model.zero_grad(set_to_none=True)


def mixing(rounds: int) -> Figures:
    """Seconds of both ways for each set of sizes, and the share of padding."""
    model = _model()
    return {
        "torch_threads": torch.get_num_threads(),
        **{name: _set(_Bench(model, sizes), rounds) for name, sizes in _SETS.items()},
    }


def _set(bench: _Bench, rounds: int) -> Figures:
    taken = alternated({"mixed": bench.mixed, "bucketed": bench.bucketed}, rounds, warm_up=1)
    tokens = [width * height // 256 for width, height in bench.sizes]
    return {
        "sizes": [f"{width}x{height}" for width, height in bench.sizes],
        "image_tokens": tokens,
        "padded_image_tokens_to_real": len(tokens) * max(tokens) / sum(tokens),
        **taken["mixed"].figures("mixed_seconds"),
        **taken["bucketed"].figures("bucketed_seconds"),
        "mixed_to_bucketed": ratio(taken["mixed"], taken["bucketed"]),
    }


def _model() -> TrainedModel:
    """The tiny model under the bundled example's LoKr."""
    family = OmniGen()
    denoiser = family.load_denoiser(TINY_FOLDER, torch.float32)
    settings = read_lycoris(example_folder("emoji-style") / "lycoris_config.json")
    adapter = attach_lycoris(denoiser, settings, FACTS.class_aliases, seed=0)
    return TrainedModel(family, denoiser, adapter).train()


def main() -> None:
    """Read the command line, measure, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mixing", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="times that each way is done (15)")
    parser.add_argument("--json", type=Path, help="where to write the figures (the screen)")
    given = parser.parse_args()
    text = json.dumps({"made_on": surroundings(), "mixing": mixing(given.rounds)}, indent=2) + "\n"
    if given.json:
        given.json.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
