"""When data sets are used: from which step and epoch, and until which."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from simpletuner.config.datasets.dataset import DatasetConfig
from simpletuner.config.reading.fill import Source
from simpletuner.core.errors import ConfigError


def schedule_problems(dataset: DatasetConfig, source: Source) -> Iterator[ConfigError]:
    """An end before the start."""
    for unit, start, end in (
        ("epoch", dataset.start_epoch, dataset.end_epoch),
        ("step", dataset.start_step, dataset.end_step),
    ):
        if end is not None and end < start:
            reason = f"{end} is before start_{unit} {start}"
            yield source.problem(f"end_{unit}", reason, f"use at least {start}, or 0 for no end")


def training_problems(datasets: Sequence[DatasetConfig], file: Path) -> list[ConfigError]:
    """No data set to train on, or none to begin with."""
    used = [dataset for dataset in datasets if dataset.dataset_type == "image" and dataset.probability > 0]
    if not used:
        cure = "add or enable one, with a probability above 0"
        return [ConfigError("no data set to train on", file=file, cure=cure)]
    if any(dataset.start_epoch <= 1 and dataset.start_step <= 1 for dataset in used):
        return []
    starts = "".join(
        f"\n  {dataset.id}: start_epoch {dataset.start_epoch}, start_step {dataset.start_step}" for dataset in used
    )
    cure = "let one of them start with the run: start_epoch 1 and start_step 0"
    return [ConfigError(f"no data set can be trained on from the outset:{starts}", file=file, cure=cure)]
