"""The data of a run without its caches: real captions and sizes, random latents. Nothing is written.

The index of each data set is brought up to date, as by `check`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial

import torch
from torch import Tensor

from simpletuner.assemble.data.caching import Cacher
from simpletuner.assemble.data.datasets import TrainingData
from simpletuner.assemble.data.prepared import Prepared
from simpletuner.assemble.data.survey import Surveyed, around_of, calendar_of, survey, used_in_training
from simpletuner.assemble.stage import Stage
from simpletuner.core.batch import Latents
from simpletuner.core.events import Emit
from simpletuner.core.ranks import Ranks
from simpletuner.core.samples import SampleId, Use
from simpletuner.core.seeds import generator
from simpletuner.data.cache.crew import FillSettings
from simpletuner.data.cache.latents import ImageCodec
from simpletuner.data.cache.masks import MasksOnDemand
from simpletuner.data.entries import Entry
from simpletuner.data.files.digests import Digests
from simpletuner.models.family import Codec, LatentSpec, TextReader

# A trained VAE is about as sure as this.
_LOGVAR = -10.0


class Imagined(Prepared):
    """A data set whose latents and masks are random, of the shapes that they would have."""

    def __init__(
        self,
        spec: LatentSpec,
        surveyed: Surveyed,
        digests: Digests,
        codec: ImageCodec,
        how: FillSettings,
        masks: MasksOnDemand | None,
    ) -> None:
        super().__init__(surveyed, digests, codec, how, masks)
        self._spec = spec

    def begin(self, epoch: int, emit: Emit) -> None:
        """Nothing has to be there."""

    def latents(self, use: Use) -> Latents:
        """A posterior of the shape of a use, (C, h, w)."""
        return self._imagined(self._entry(use))

    def latents_beside(self, user: Prepared, theirs: Entry, epoch: int) -> Latents:
        """The same of the reference of a picture of ``user``, (C, h, w)."""
        return self._imagined(self.beside(user, theirs, epoch))

    def mask(self, use: Use) -> Tensor | None:
        """Weights (1, h, w) in [0, 1] where the run has masks."""
        if self.masks is None:
            return None
        entry = self._entry(use)
        return torch.rand((1, *self._cells(entry)), generator=_drawn_for(entry.sample, "mask"))

    def _imagined(self, entry: Entry) -> Latents:
        shape = (self._spec.channels, *self._cells(entry))
        mean = torch.randn(shape, generator=_drawn_for(entry.sample, "latent"))
        return Latents(mean, torch.full(shape, _LOGVAR))

    def _cells(self, entry: Entry) -> tuple[int, int]:
        target, edge = entry.placement.target, self._spec.downsample
        return target.height // edge, target.width // edge


def _drawn_for(sample: SampleId, what: str) -> torch.Generator:
    return generator("imagined", sample, what)


def imagine(stage: Stage, codec: Codec, text: TextReader, processes: int) -> tuple[TrainingData, Sequence[Prepared]]:
    """The data of a run of so many ``processes``, of which this one has the share of the first; and all data sets that
    it reads, those with references and masks too.

    Raises what a run raises while it looks at its data sets.
    """
    loaded, spec = stage.loaded, stage.family.latents
    alone = around_of(loaded, stage.seed, stage.family.facts.longest_edge)
    around = replace(alone, accumulation=alone.accumulation * processes)
    ranks = Ranks(count=processes)
    cacher = Cacher(codec, loaded.config.data, ranks, stage.emit, partial(Imagined, spec))
    wanted = used_in_training(loaded.datasets, evaluates=loaded.config.evaluation.wants_loss)
    made = cacher.prepare(survey(wanted, around, stage.emit))
    trained = [found for found in made.values() if found.config.dataset_type == "image"]
    held_out = [found for found in made.values() if found.config.dataset_type == "eval"]
    calendar = calendar_of([found.surveyed for found in trained], around)
    data = TrainingData(trained, held_out, calendar, _reader(text), ranks, stage.emit)
    return data, tuple(made.values())


def _reader(text: TextReader) -> Callable[[str, int], Tensor]:
    """Token ids of a caption, (L,) int64, made when they are asked for and kept nowhere."""

    @cache
    def read(caption: str, pictures: int) -> Tensor:
        return text.tokenize(caption, pictures)

    return read
