"""Filling the latent cache against the codec alone, over the same batches already decoded."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.setting import Setting
from benchmarks.start import quiet
from benchmarks.timing import Figures, alternated, processor_ratio, ratio
from benchmarks.trees import photos, write_run
from simpletuner.assemble.data.survey import around_of, survey
from simpletuner.config.load import LoadedRun
from simpletuner.data.cache.crew import FillSettings
from simpletuner.data.cache.decode import picture_pixels
from simpletuner.data.cache.fill import LatentCache, fill_latents
from simpletuner.data.cache.store import TensorStore
from simpletuner.data.entries import Entry
from simpletuner.data.files.digests import Digests
from simpletuner.data.sources.base import Source
from simpletuner.models.family import Codec, MemorySaving
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.layers import FACTS, TINY_FOLDER

_CASES = ((64, 80, 4), (64, 80, 16), (256, 320, 4), (256, 512, 4), (512, 768, 4))
"""Edges in px, that of training and that of the files, and `vae_batch_size`."""
_WORKERS = 8
_SEED = 42


def filling(setting: Setting) -> Figures:
    """Each size with the tiny model's VAE. The bare loop has the decoded batches in memory."""
    saving = MemorySaving(tiling=False, slicing=False)
    codec = OmniGen().load_codec(TINY_FOLDER, torch.device("cpu"), torch.float32, saving)
    found = {f"{edge}_of_{file}_by_{batch}": _case(setting, codec, edge, file, batch) for edge, file, batch in _CASES}
    return {"torch_threads": torch.get_num_threads(), "workers": _WORKERS, **found}


@dataclass
class _Bench:
    """The pictures of one size, and where each filling goes."""

    entries: list[Entry]
    source: Source
    codec: Codec
    batch_size: int
    folder: Path

    def __post_init__(self) -> None:
        self._fillings = count()
        self._batches = self.decoded()

    def decoded(self) -> list[Tensor]:
        """Every batch of pixels, read and decoded in two threads."""
        with ThreadPoolExecutor(2) as pool:
            pixels = list(pool.map(self._pixels, self.entries))
        starts = range(0, len(pixels), self.batch_size)
        return [torch.stack(pixels[start : start + self.batch_size]) for start in starts]

    def _pixels(self, entry: Entry) -> Tensor:
        return picture_pixels(entry, self.source.read(entry.sample.path))

    def encode(self) -> None:
        """The codec alone."""
        for batch in self._batches:
            self.codec.encode(batch)

    def decode(self) -> None:
        """Reading and decoding alone, in one thread: what the other core has to keep up with."""
        for entry in self.entries:
            self._pixels(entry)

    def fill(self) -> None:
        """A whole filling of an empty cache."""
        store = TensorStore(self.folder / str(next(self._fillings)))
        cache = LatentCache(self.source, Digests({}), store, self.codec)
        how = FillSettings(self.batch_size, workers=_WORKERS, threads=self.codec.threads())
        filled = fill_latents(self.entries, cache, how, quiet, "bench")
        assert filled.encoded == len(self.entries)


def _case(setting: Setting, codec: Codec, edge: int, file: int, batch: int) -> Figures:
    folder = setting.work / f"fill-{edge}-{file}-{batch}"
    pictures = setting.encoded * (8 if edge < 100 else 1)
    photos(folder / "pictures", pictures, file)
    loaded = write_run(folder / "run", folder / "pictures", {"resolution": edge}, vae_batch_size=batch)
    bench = _bench(loaded, codec, folder / "caches")
    taken = alternated({"encode": bench.encode, "fill": bench.fill, "decode": bench.decode}, setting.rounds, warm_up=1)
    setting.tidy(folder)
    # With several threads the one that is timed encodes nothing.
    alone = {"fill_to_raw_encode_of_processor_time": processor_ratio(taken["encode"], taken["fill"])}
    return {
        "pictures": pictures,
        "raw_encode_pictures_per_second": pictures / taken["encode"].median,
        "fill_pictures_per_second": pictures / taken["fill"].median,
        "decode_pictures_per_second_and_thread": pictures / taken["decode"].median,
        "fill_to_raw_encode": ratio(taken["encode"], taken["fill"]),
        **(alone if codec.threads() == 1 else {}),
    }


def _bench(loaded: LoadedRun, codec: Codec, folder: Path) -> _Bench:
    found = survey(loaded.datasets, around_of(loaded, _SEED, FACTS.longest_edge), quiet)["bench"]
    entries = list(found.arrangement.entries)
    return _Bench(entries, found.source, codec, loaded.config.data.vae_batch_size, folder)
