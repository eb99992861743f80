"""What a LoKr step cannot be faster than on this machine: its multiply-adds at the measured rate of one large product.

Per token and block linear weight 2 operations forward and 2 for the gradient of its input; no gradient of a frozen
weight exists. Attention: 4 S d a token and block forward, 2.5 times that backward (a flash kernel computes the scores
again: Dao 2023, arXiv 2307.08691). The adapter itself is left out: it is what is judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

import torch

from benchmarks.omnigen import Body, Case
from benchmarks.timing import Figures, seconds_of


def operations(body: Body, case: Case) -> float:
    """Floating-point operations of one step's forward, recomputed forward and backward."""
    tokens = case.tokens
    linears = 2.0 * tokens * body.blocks * body.block_weights
    attention = 4.0 * tokens**2 * body.width * body.blocks
    forward = linears + attention
    return case.batch * (forward * (2 if case.recompute else 1) + linears + 2.5 * attention)


def matmul_rate(device: torch.device, dtype: torch.dtype, edge: int, rounds: int = 7) -> float:
    """Operations a second of a square product of ``edge``, the median of ``rounds``."""
    one, other = torch.randn(2, edge, edge, device=device).to(dtype)

    def product() -> None:
        torch.mm(one, other)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    product()
    return 2.0 * edge**3 / median(seconds_of(product) for _ in range(rounds))


@dataclass(frozen=True)
class Floors:
    """The rates measured on ``device``: operations a second of a large product, bytes a second of a copy."""

    rate: float
    bandwidth: float

    def figures(self) -> Figures:
        """For JSON."""
        return {"matmul_tflops": self.rate / 1e12, "copy_gigabytes_per_second": self.bandwidth / 1e9}


def floors_of(device: torch.device, dtype: torch.dtype) -> Floors:
    """Measure both: a product and a copy large enough to be at the machine's best."""
    large = device.type == "cuda"
    return Floors(matmul_rate(device, dtype, 8192 if large else 2048), _bandwidth(device, 1 << (31 if large else 28)))


def _bandwidth(device: torch.device, count: int) -> float:
    """Bytes read and written a second."""
    source = torch.ones(count, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)

    def copy() -> None:
        target.copy_(source)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    copy()
    return 2.0 * count / median(seconds_of(copy) for _ in range(5))
