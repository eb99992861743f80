"""Whether processes that should hold the same values do. Equal by construction, and looked at where it is cheap."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import Parameter

from simpletuner.core.errors import SimpletunerError
from simpletuner.training.parallel.base import Parallel

_WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_DIGEST_BITS = 48


class DivergedError(SimpletunerError):
    """Processes that must hold the same values do not."""


def require_equal(parallel: Parallel, tensors: Mapping[str, Tensor], what: str) -> None:
    """Raise DivergedError unless every process has the same ``tensors``; parts and packed forms are left out."""
    if parallel.count == 1:
        return
    own = checksum({name: value for name, value in tensors.items() if type(value) in (Tensor, Parameter)})
    table = torch.zeros(parallel.count, dtype=torch.int64, device=parallel.device)
    table[parallel.rank] = own
    found = parallel.sum(table).tolist()
    if len(set(found)) > 1:
        others = ", ".join(str(rank) for rank, value in enumerate(found) if value != found[0])
        raise DivergedError(
            f"the processes do not agree about {what}: {others} differ from process 0",
            cure="check that all machines have the same files, packages and cards; go on from the last checkpoint",
        )


def checksum(tensors: Mapping[str, Tensor]) -> int:
    """A number that stands for the bits of ``tensors``: their names, shapes, types, and the sum of their words."""
    digest = hashlib.sha256()
    sums = [_sum_of_words(value) for value in tensors.values()]
    for (name, value), total in zip(tensors.items(), sums, strict=True):
        digest.update(repr((name, tuple(value.shape), str(value.dtype), int(total))).encode())
    return int.from_bytes(digest.digest()[: _DIGEST_BITS // 8], "big")


def _sum_of_words(value: Tensor) -> Tensor:
    # Integers wrap around, so that the order of adding changes nothing.
    plain = value.detach().contiguous().view(-1)
    return plain.view(_WORDS[value.element_size()]).sum(dtype=torch.int64)
