"""The peak memory of a training step at OmniGen v1's full size, counted without a card.

``python -m benchmarks.memory [--json FILE]``: every tensor of a whole step (forward, backward, optimizer) is a fake one
that has a size and no content; the most bytes alive at once are the peak. What a card adds to it (its context, the
kernels' workspaces, the allocator's rounding: half a gigabyte to one) is not in the figure. On a card,
``python -m benchmarks.step --size full --device cuda`` measures the real thing.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.fake import Weights, counted_step
from benchmarks.omnigen import Case
from benchmarks.timing import Figures, surroundings

_log = logging.getLogger("benchmarks")
CASES = tuple(
    Case(edge, batch, recompute) for edge in (512, 1024) for batch in (1, 2, 3, 4, 6) for recompute in (True, False)
)
WEIGHTS = {"bf16": Weights(16), "int8": Weights(8.03), "fp8": Weights(8.03), "nf4": Weights(4.16)}
"""Bits a weight of the blocks' linears, scales included: :data:`simpletuner.precision.presets.PRESETS`."""


def memory(cases: Sequence[Case], names: Sequence[str], blocks: int = 32) -> Figures:
    """Gigabytes (10^9 bytes) of each case under each weight format."""
    figures: Figures = {}
    for name in names:
        _log.info("%s ...", name)
        found = {case.name: counted_step(case, WEIGHTS[name], blocks).figures() for case in cases}
        figures[name] = found
    return figures


def main(words: Sequence[str] | None = None) -> None:
    """Read the command line, count, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--json", type=Path, nargs="?", help="where to write the figures (the screen)")
    parser.add_argument("--blocks", type=int, default=32, help="blocks of the model (32)")
    parser.add_argument("--quick", action="store_true", help="one case only, to see that it works")
    given = parser.parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    figures = memory(CASES[:1] if given.quick else CASES, list(WEIGHTS)[: 2 if given.quick else None], given.blocks)
    text = json.dumps({"made_on": surroundings(), "counted_gigabytes": figures}, indent=2) + "\n"
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
