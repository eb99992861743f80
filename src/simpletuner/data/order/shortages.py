"""Buckets that cannot fill one update: which, by how much, and what to do about them (SPEC 3.12)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simpletuner.data.entries import Dropped
from simpletuner.data.order.plan import PlannedDataset


@dataclass(frozen=True)
class Shortage:
    """A bucket whose ``samples`` give fewer ``uses`` an epoch than the ``requirement``, one global batch.

    ``repeats_needed`` are the fewest repeats that fill an update.
    """

    bucket: str
    samples: int
    uses: int
    requirement: int
    repeats_needed: int


def shortages(dataset: PlannedDataset) -> tuple[Shortage, ...]:
    """The buckets whose only update is a short one."""
    sizes = {bucket: len(samples) for bucket, samples in dataset.pools.items()}
    return tuple(
        Shortage(bucket, size, dataset.uses(size), dataset.batch, -(-dataset.batch // size) - 1)
        for bucket, size in sizes.items()
        if dataset.uses(size) < dataset.batch
    )


def oversubscribed(dataset: PlannedDataset) -> dict[str, tuple[int, float]]:
    """The buckets that oversubscription fills: the uses it adds in an epoch, and by what factor uses grow."""
    sizes = {bucket: len(samples) for bucket, samples in dataset.pools.items()}
    normal = dataset.repeats + 1
    return {
        bucket: (dataset.uses(size) - size * normal, dataset.uses(size) / (size * normal))
        for bucket, size in sizes.items()
        if dataset.uses(size) > size * normal
    }


def explain(
    dataset: PlannedDataset, shortage: Shortage, names: Sequence[str], micro_batch: int, ranks: int, accumulation: int
) -> str:
    """What is short, the arithmetic, and the cures. ``names`` are some of the bucket's files."""
    total = sum(len(samples) for samples in dataset.buckets.values())
    return "\n  ".join(
        [
            f'data set "{dataset.id}": bucket {shortage.bucket} cannot fill one update',
            f"it has {shortage.samples} of the data set's {total} pictures: {_files(names, shortage.samples)}",
            f"{shortage.samples} x ({dataset.repeats} repeats + 1) = {shortage.uses} uses an epoch; an update takes "
            f"{micro_batch} train_batch_size x {ranks} processes x {accumulation} gradient_accumulation_steps = "
            f"{shortage.requirement}",
            f"they are trained all the same, in one short update of {shortage.uses}",
            f"to fill it: set repeats to {shortage.repeats_needed} or more; or {_other_cures(dataset)}",
        ]
    )


def _files(names: Sequence[str], samples: int) -> str:
    more = samples - len(names)
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")


def _other_cures(dataset: PlannedDataset) -> str:
    cures = ["add pictures", "lower train_batch_size, gradient_accumulation_steps or the number of processes"]
    if len(dataset.buckets) > 1 and dataset.mixing == "bucket":
        # Of buckets that are merged two are left only where that would enlarge too much.
        limit = ", or raise max_upscale_threshold, which keeps it from being merged"
        cures.append("set bucket_mixing to " + (f"pad{limit}" if dataset.merged else "merge or pad"))
    if not dataset.repeats:
        return "; or ".join([*cures, "switch allow_dataset_oversubscription on"])
    return "; or ".join(cures) + " (allow_dataset_oversubscription does not override repeats set by hand)"


def pruned_picture(
    path: str, bucket: str, samples: int, repeats: int, micro_batch: int, *, alone: bool = False
) -> Dropped:
    """Why a picture is left out whose bucket cannot fill one micro-batch, where the user wants such buckets removed.

    ``alone`` says that its data set has no other bucket.
    """
    mixing = "" if alone else "bucket_mixing to merge or pad, "
    return Dropped(
        path,
        f"its bucket is pruned: bucket {bucket} has {samples} pictures x ({repeats} repeats + 1) = "
        f"{samples * (repeats + 1)} uses, below train_batch_size {micro_batch}",
        f"set repeats to {-(-micro_batch // samples) - 1} or more, {mixing}or take disable_bucket_pruning false out of "
        "the configuration",
        "bucket",
    )
