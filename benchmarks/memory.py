"""The peak memory of a training step at OmniGen v1's full size, counted without a card.

``python -m benchmarks.memory [--json FILE]``: every tensor of a whole step (forward, backward, optimizer) is a fake one
that has a size and no content; the most bytes alive at once are the peak. What a card adds to it (its context, the
kernels' workspaces, the allocator's rounding: half a gigabyte to one) is not in the figure. On a card,
``python -m benchmarks.step --size full --device cuda`` measures the real thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from benchmarks.fake import Weights, counted_step
from benchmarks.omnigen import Case
from benchmarks.report import a_parser, log_to_screen, measure_all
from benchmarks.timing import Figures

CASES = (
    *(Case(edge, batch, recompute) for edge in (512, 1024) for batch in (1, 2, 3, 4, 6) for recompute in (True, False)),
    Case(1024, 5),
)
WEIGHTS = {"bf16": Weights(16), "int8": Weights(8.03), "fp8": Weights(8.03), "nf4": Weights(4.16)}
"""Bits a weight of the blocks' linears, scales included: :data:`simpletuner.precision.presets.PRESETS`."""


def memory(cases: Sequence[Case], weights: Weights, blocks: int = 32) -> Figures:
    """Gigabytes (10^9 bytes) of each case."""
    return {"blocks": blocks, **{case.name: counted_step(case, weights, blocks).figures() for case in cases}}


def main(words: Sequence[str] | None = None) -> None:
    """Read the command line, count, write."""
    parser = a_parser("memory", __doc__)
    parser.add_argument("--only", nargs="+", choices=list(WEIGHTS), metavar="NAME", help="some of the weight formats")
    parser.add_argument("--blocks", type=int, default=32, help="blocks of the model (32)")
    parser.add_argument("--quick", action="store_true", help="one case only, to see that it works")
    given = parser.parse_args(words)
    log_to_screen()
    cases = CASES[:1] if given.quick else CASES
    measure_all(
        {name: partial(memory, cases, WEIGHTS[name], given.blocks) for name in given.only or WEIGHTS}, given.json
    )


if __name__ == "__main__":
    main()
