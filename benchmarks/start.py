"""From a folder to the first update: a cold scan, a warm start, and the latents that are there already."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.setting import Setting
from benchmarks.timing import Figures, Opens, Times, repeated, seconds_of
from benchmarks.trees import small_tree, write_run
from simpletuner.assemble.data.survey import Around, Surveyed, around_of, calendar_of, index_path, survey
from simpletuner.config.load import LoadedRun
from simpletuner.core.batch import Latents
from simpletuner.core.events import Event
from simpletuner.data.cache.crew import FillSettings
from simpletuner.data.cache.fill import LatentCache, fill_latents
from simpletuner.data.cache.latents import LatentStore
from simpletuner.data.cache.store import TensorStore
from simpletuner.data.files.digests import Digests
from simpletuner.data.files.index import open_index
from simpletuner.models.omnigen.layers import FACTS

_SHAPES = {"resolution": 64, "aspect_bucket_alignment": 16}
_SETTLED_SECONDS = 2.5
_SEED = 42


def quiet(event: Event) -> None:
    """Nobody listens."""


class NeverAsked:
    """A codec for data sets whose latents are all there."""

    def fingerprint(self) -> str:
        """A name like any other."""
        return "never asked"

    def encode(self, pixels: Tensor) -> Latents:
        """Raises, because there is nothing to encode."""
        raise AssertionError(f"asked to encode {len(pixels)} pictures of a cache that is full")


@dataclass
class _Start:
    """One start of a run, in parts; ``found`` is what the last survey gave."""

    loaded: LoadedRun
    around: Around
    found: Surveyed | None = None
    updates: int = 0

    def survey(self) -> None:
        """Open the index, list the folder, scan what is new, sift, and arrange in buckets."""
        self.found = survey(self.loaded.datasets, self.around, quiet)["bench"]

    def plan(self) -> None:
        """The plan of the first epoch."""
        self.updates = len(calendar_of([self.surveyed], self.around).plan(0))

    def whole(self) -> None:
        """Both."""
        self.survey()
        self.plan()

    def latents_there(self) -> None:
        """What training asks of the cache when it begins: is the latent of every picture there?"""
        found = self.surveyed
        store = TensorStore(Path(found.config.cache_dir_vae))
        cache = LatentCache(found.source, Digests(found.scanned.table.digests), store, NeverAsked())
        filled = fill_latents(found.arrangement.entries, cache, FillSettings(batch_size=4), quiet, "bench")
        assert filled.reused == len(found.scanned.table)

    @property
    def surveyed(self) -> Surveyed:
        """What is known of the data set."""
        assert self.found is not None
        return self.found


def start(setting: Setting) -> Figures:
    """Every size with captions from names, the largest once more with a text file beside each picture."""
    found = {str(size): _at_size(setting, size, texts=False) for size in setting.sizes}
    largest = max(setting.sizes)
    return {
        "torch_threads": torch.get_num_threads(),
        **found,
        f"{largest}_texts": _at_size(setting, largest, texts=True),
    }


def _at_size(setting: Setting, size: int, *, texts: bool) -> Figures:
    folder = setting.work / f"start-{size}{'-texts' if texts else ''}"
    generated = seconds_of(lambda: small_tree(folder / "pictures", size, texts=texts))
    strategy = {"caption_strategy": "textfile"} if texts else {}
    # The index does not trust files that are younger: they could change again within one tick of their clock.
    time.sleep(_SETTLED_SECONDS)
    loaded = write_run(folder / "run", folder / "pictures", {**_SHAPES, **strategy})
    begun = _Start(loaded, around_of(loaded, _SEED, FACTS.longest_edge))
    cold = _cold(begun, loaded, setting.rounds if size < 100_000 else 2)
    opens = Opens(folder / "pictures")
    with opens.counting():
        warm = repeated(begun.whole, setting.rounds)
    listing = repeated(begun.surveyed.source.listing, setting.rounds)
    planning = repeated(begun.plan, setting.rounds)
    _pretend_cached(begun.surveyed)
    begun.survey()
    there = repeated(begun.latents_there, setting.rounds)
    figures = {
        "pictures": size,
        "generated_seconds": generated,
        "updates": begun.updates,
        "buckets": len(begun.surveyed.arrangement.keys),
        **cold.figures("cold_scan_seconds"),
        "cold_scan_files_per_second": size / cold.median,
        **warm.figures("warm_start_seconds"),
        "warm_start_files_opened": opens.count,
        "of_it_listing_seconds": listing.median,
        "of_it_planning_seconds": planning.median,
        **there.figures("latents_there_seconds"),
        "warm_start_and_latents_there_seconds": warm.median + there.median,
        "index_megabytes": index_path(begun.surveyed.config).stat().st_size / 1e6,
    }
    setting.tidy(folder)
    return figures


def _cold(begun: _Start, loaded: LoadedRun, rounds: int) -> Times:
    cache, taken = index_path(loaded.datasets[0]).parent, []
    for _ in range(rounds):
        shutil.rmtree(cache, ignore_errors=True)
        taken.append(seconds_of(begun.whole))
    return Times(tuple(taken))


def _pretend_cached(found: Surveyed) -> None:
    """An empty file for each latent, and each digest in the index: what a start looks at when the cache is full."""
    digests = Digests({})
    for path in found.scanned.table.paths:
        digests.read(found.source, path)
    with open_index(index_path(found.config)) as index:
        index.learn_digests(digests.learned)
    latents = LatentStore(TensorStore(Path(found.config.cache_dir_vae)), NeverAsked().fingerprint())
    for entry in found.arrangement.entries:
        there = latents.store.path(latents.key(entry, digests.learned[entry.sample.path][1]))
        there.parent.mkdir(parents=True, exist_ok=True)
        there.touch()
