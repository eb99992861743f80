"""What the losses of a run are held against, from the latents that it has cached."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from simpletuner.assemble.data.prepared import Prepared
from simpletuner.assemble.seeing.kept_yardstick import keep_yardstick, kept_yardstick, key_of, read_kept
from simpletuner.core.batch import Latents
from simpletuner.core.events import Emit, Notice
from simpletuner.core.files import write_json
from simpletuner.core.samples import Use
from simpletuner.data.entries import Entry
from simpletuner.diffusion.quadrature import midpoints
from simpletuner.diffusion.references.linear import Size
from simpletuner.diffusion.references.optimum import Estimate, affordable, optimum
from simpletuner.diffusion.references.yardstick import Yardstick
from simpletuner.diffusion.timesteps import Law
from simpletuner.training.meter import Meter
from simpletuner.training.objectives.objective import Objective

FILE = "loss_references.json"
_MOST_PICTURES = 512
_MOST_PLACES = 4096
_DRAWS = 32


@dataclass(frozen=True)
class Collection:
    """Data sets whose pictures are measured together, and the pixels of a latent cell's edge."""

    datasets: Sequence[Prepared]
    downsample: int

    def size(self, use: Use) -> Size:
        """The latent size of a use, in cells."""
        made = next(made for made in self.datasets if made.config.id == use.sample.dataset)
        return self._size(made.arrangement(use.epoch).entry(made.surveyed.scanned.table.row(use.sample.path)))

    def sizes(self) -> Counter[Size]:
        """How many pictures have each latent size in the first epoch, of a sample of them."""
        return Counter(self._size(entry) for _, entry in self._sample())

    def _sample(self) -> list[tuple[Prepared, Entry]]:
        """At most 4,096 places of the first epoch, evenly spread."""
        counts = [len(made.arrangement(0).entries) for made in self.datasets]
        wanted = min(_MOST_PLACES, sum(counts))
        share = wanted / max(1, sum(counts))
        return [
            (made, made.arrangement(0).entries[place * count // kept])
            for made, count in zip(self.datasets, counts, strict=True)
            for kept in (round(count * share),)
            for place in range(kept)
        ]

    def _size(self, entry: Entry) -> Size:
        target = entry.placement.target
        return target.height // self.downsample, target.width // self.downsample

    def pictures(self, most: int = _MOST_PICTURES, size: Size | None = None) -> Iterator[tuple[Latents, float]]:
        """The posteriors of at most so many pictures (of one ``size``), evenly spread; each with its uses an epoch."""
        found = [(made, entry) for made, entry in self._sample() if size in (None, self._size(entry))]
        count = min(most, len(found))
        for place in range(count):
            made, entry = found[place * len(found) // count]
            yield made.latents(Use(entry.sample, 0)), float(made.config.repeats + 1)

    @property
    def key(self) -> str | None:
        """Stands for the latents that are measured; None where the bytes of a picture are not known yet."""
        return key_of(self._sample())

    @property
    def moves(self) -> bool:
        """Whether windows differ between epochs, so that those of the first are not there later."""
        return any(made.surveyed.arrangement.spec.epochs_differ for made in self.datasets)


def cached(datasets: Sequence[Prepared]) -> tuple[Prepared, ...]:
    """The data sets whose latents are there before they are used."""
    return tuple(made for made in datasets if not made.on_demand)


def measured(collection: Collection, *, even_on_demand: bool = False) -> Yardstick | None:
    """Variance and linear reference of the pictures, or None without any that is cached.

    ``even_on_demand`` has latents made for it where they are not kept.
    """
    kept = collection.datasets if even_on_demand else cached(collection.datasets)
    pictures = list(Collection(kept, collection.downsample).pictures())
    return Yardstick.of(pictures) if pictures else None


def taught(datasets: Sequence[Prepared]) -> tuple[Prepared, ...]:
    """The data sets that the model learns, not those that keep it as it was."""
    return tuple(made for made in datasets if not made.config.is_regularisation_data)


def meter_of(
    objective: Objective, datasets: Sequence[Prepared], downsample: int, output_dir: Path | None = None
) -> Meter:
    """What every step is held against. Reads at most 512 latents, unless it was kept in ``output_dir``."""
    collection = Collection(cached(taught(datasets)), downsample)
    known = kept_yardstick(output_dir, collection.key) if output_dir and collection.moves else None
    found = known or measured(collection)
    every = Collection(tuple(datasets), downsample)
    comparable = _comparable(objective, datasets)
    return Meter(
        variance=found.variance if found else None,
        linear=found.linear if found else None,
        size=every.size,
        comparable=lambda name: name in comparable,
    )


def keep_meter(meter: Meter, datasets: Sequence[Prepared], downsample: int, output_dir: Path) -> None:
    """Keep what ``meter`` was made of, where the latents that it was measured on will not be there."""
    collection = Collection(cached(taught(datasets)), downsample)
    if meter.variance is not None and meter.linear is not None and collection.moves:
        keep_yardstick(output_dir, collection.key, Yardstick(meter.variance, meter.linear))


def _comparable(objective: Objective, datasets: Sequence[Prepared]) -> frozenset[str]:
    """Data sets whose loss is the plain squared error of all cells: no Huber, no mask, no weights, no base model."""
    is_weighted = objective.rollout is not None and objective.rollout.reflex is not None
    if objective.loss.kind != "l2" or is_weighted:
        return frozenset()
    return frozenset(made.config.id for made in taught(datasets) if made.masks is None)


def tell_references(collection: Collection, meter: Meter, law: Law, points: int, output_dir: Path, emit: Emit) -> None:
    """Find the optimum on the training pictures, tell all references, and keep them by sigma in ``FILE``.

    The optimum is that of the most frequent size, on as many pictures as are affordable. What an earlier start of the
    run has found is told again.
    """
    if meter.variance is None:
        return
    sigmas, key, before = midpoints(law, points), collection.key, read_kept(output_dir / FILE)
    if key is not None and (before.get("of"), before.get("sigmas")) == (key, list(sigmas)):
        emit(Notice(before["told"]))
        return
    size, count = collection.sizes().most_common(1)[0]
    best = _optimum(collection, size, count, sigmas)
    linear = [meter.linear.at(size, sigma) for sigma in sigmas] if meter.linear else []
    known = [value for value in linear if value is not None]
    loss, error = best.mean()
    words = [f"the best constant {meter.variance:.4f}"]
    words += [f"the best linear denoiser {sum(known) / len(known):.4f}"] if known else []
    words += [f"the optimum on {best.pictures} of {count} training pictures, below which lies memorising, {loss:.4f}"]
    told = f"losses to compare with, over the run's noise levels: {', '.join(words)} +- {error:.4f}"
    emit(Notice(told))
    write_json(
        output_dir / FILE,
        {
            "size": [size[1] * collection.downsample, size[0] * collection.downsample],
            "sigmas": list(sigmas),
            "constant": meter.variance,
            "linear": linear,
            "optimum": best.loss.tolist(),
            "optimum_se": best.error.tolist(),
            "optimum_pictures": best.pictures,
            "pictures": count,
            "of": key,
            "told": told,
        },
    )


def _optimum(collection: Collection, size: Size, count: int, sigmas: Sequence[float]) -> Estimate:
    first = next(collection.pictures(1, size))[0]
    kept = [latents for latents, _ in collection.pictures(affordable(count, first.mean.numel()), size)]
    stacked = Latents(*(torch.stack([vars(latents)[part] for latents in kept]) for part in ("mean", "logvar")))
    return optimum(stacked, sigmas, _DRAWS, "optimum")
