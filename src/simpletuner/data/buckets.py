"""Pictures of one size, grouped."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from simpletuner.core.samples import SampleId
from simpletuner.data.entries import Entry

Buckets = Mapping[str, tuple[SampleId, ...]]


def group(entries: Sequence[Entry]) -> dict[str, tuple[SampleId, ...]]:
    """Bucket key to its samples. Keys go from tall to wide, samples by path, whatever the order of ``entries``."""
    found: dict[str, list[SampleId]] = defaultdict(list)
    for entry in entries:
        found[entry.placement.key].append(entry.sample)
    return {key: tuple(sorted(found[key])) for key in sorted(found, key=lambda key: (float(key), key))}


def short_bucket_notes(dataset: str, buckets: Buckets, repeats: int, batch: int) -> tuple[str, ...]:
    """A line for each bucket that cannot fill one update (SPEC 3.12). It is trained all the same."""
    return tuple(
        f'data set "{dataset}": bucket {key} has {len(samples)} pictures x ({repeats} repeats + 1) = '
        f"{len(samples) * (repeats + 1)} uses an epoch, below the global batch of {batch}; its one update stays short "
        f"(repeats {-(-batch // len(samples)) - 1} would fill it)"
        for key, samples in buckets.items()
        if len(samples) * (repeats + 1) < batch
    )
