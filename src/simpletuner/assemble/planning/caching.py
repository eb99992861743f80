"""What filling the caches of a run takes: what is missing, a picture of each size encoded, an entry of each written."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from simpletuner.assemble.data.prepared import Prepared
from simpletuner.assemble.planning.figures import CacheFigures, SizeFigures
from simpletuner.assemble.planning.peak import read_peak, reset_peak
from simpletuner.assemble.planning.steps import seconds_of
from simpletuner.assemble.stage import Stage
from simpletuner.config.datasets.conditioning_rules import MASKS
from simpletuner.core.batch import Latents
from simpletuner.core.memory import give_back, is_exhausted
from simpletuner.data.cache.keys import content_digest
from simpletuner.data.cache.latents import ImageCodec, LatentStore, Sparing, side_by_side, steady
from simpletuner.data.cache.store import TensorStore
from simpletuner.data.cache.tokens import Caption, fill_tokens
from simpletuner.data.entries import Entry
from simpletuner.data.places.geometry import Size
from simpletuner.models.family import Codec, LatentSpec, TextReader

# As many captions are really written to know how large their entries are.
_MOST_WRITTEN = 64


@dataclass
class _Missing:
    """Latents that are not there, by size, with one picture of each; ``kept`` counts those that will be stored."""

    sizes: Counter[Size] = field(default_factory=Counter)
    kept: Counter[tuple[Path, Size]] = field(default_factory=Counter)
    example: dict[Size, Entry] = field(default_factory=dict)

    def add(self, made: Prepared) -> None:
        """The entries of the first epoch of a data set; a picture whose bytes nobody has read counts as missing."""
        store = TensorStore(Path(made.config.cache_dir_vae))
        there, known = store.keys(), set[str]()
        for entry in made.entries(0):
            digest = made.cache.digests.get(entry.sample.path)
            key = None if digest is None else made.latents_in.key(entry, digest)
            if key is not None and (key in there or key in known):
                continue
            known |= {key} if key else set()
            size = entry.placement.target
            self.example.setdefault(size, entry)
            self.sizes[size] += 1
            self.kept[store.folder, size] += 0 if made.config.vae_cache_disable else 1


def measure_caching(stage: Stage, codec: Codec, text: TextReader, datasets: Sequence[Prepared]) -> CacheFigures:
    """What is missing for the first epoch, and what it takes to make it. Writes to a temporary folder only.

    Reading and decoding pictures, which threads do meanwhile, is not in it.
    """
    missing = _Missing()
    for made in datasets:
        if made.config.conditioning_type not in MASKS:
            missing.add(made)
    batch = stage.loaded.config.data.vae_batch_size
    encoding = _Encoding(Sparing(steady(codec, batch, codec.threads()), lambda _told: None), batch, codec.threads())
    sizes = tuple(_encoded(stage, encoding, size, count) for size, count in sorted(missing.sizes.items()))
    captioned = [made for made in datasets if made.config.dataset_type != "conditioning"]
    tokens = _token_bytes(captioned, text, stage.loaded.text_cache)
    folders = _latent_bytes(missing, codec, stage.family.latents)
    folders[stage.loaded.text_cache] += tokens
    return CacheFigures(sizes, sum(missing.sizes.values()), sum(folders.values()), dict(folders))


@dataclass(frozen=True)
class _Encoding:
    """How the filling encodes: batches of ``batch`` pictures, several at the same time where ``threads`` allow it."""

    codec: ImageCodec
    batch: int
    threads: int

    def batches(self, size: Size, count: int) -> int:
        """How many batches of ``count`` pictures are encoded at the same time."""
        return min(side_by_side(size.width * size.height, self.batch, self.threads), -(-count // self.batch))

    def encode(self, pixels: Tensor, batches: int) -> None:
        """So many times the same pixels (B, 3, H, W), at the same time."""
        if batches == 1:
            self.codec.encode(pixels)
            return
        with ThreadPoolExecutor(batches) as pool:
            list(pool.map(self.codec.encode, [pixels] * batches))


def _encoded(stage: Stage, encoding: _Encoding, size: Size, count: int) -> SizeFigures:
    """Seconds of one picture of ``size`` among as many as are encoded at once, after a first go."""
    device = stage.accelerator.device
    pixels = torch.rand(min(encoding.batch, count), 3, size.height, size.width) * 2 - 1
    batches = encoding.batches(size, count)
    reset_peak(device)
    try:
        encoding.encode(pixels, batches)
        seconds = seconds_of(device, lambda: encoding.encode(pixels, batches))
    except (MemoryError, RuntimeError) as error:
        if not is_exhausted(error):
            raise
        seconds = -1.0
    if seconds < 0:
        give_back()
        return SizeFigures(str(size), count, 0.0, None)
    return SizeFigures(str(size), count, seconds / (len(pixels) * batches), read_peak(device))


def _latent_bytes(missing: _Missing, codec: Codec, spec: LatentSpec) -> Counter[Path]:
    """Bytes by folder: one entry of each size is written as a run would, and counted as often as it is missing."""
    each: dict[Size, int] = {}
    with tempfile.TemporaryDirectory(prefix="simpletuner-plan-") as folder:
        latents = LatentStore(TensorStore(Path(folder)), codec.fingerprint())
        for size, entry in missing.example.items():
            digest = content_digest(str(entry.sample).encode("utf-8", "surrogatepass"))
            cells = torch.zeros(spec.channels, size.height // spec.downsample, size.width // spec.downsample)
            latents.write(entry, digest, Latents(cells, cells))
            each[size] = latents.store.path(latents.key(entry, digest)).stat().st_size
    found: Counter[Path] = Counter()
    for (folder_of, size), count in missing.kept.items():
        found[folder_of] += count * each[size]
    return found


def _token_bytes(captioned: Iterable[Prepared], text: TextReader, folder: Path) -> int:
    """Bytes of the token entries that are missing, from some of them written elsewhere."""
    there, name = TensorStore(folder).keys(), text.fingerprint()
    wanted = {caption for made in captioned for caption in made.all_captions()}
    missing = sorted(caption for caption in wanted if caption.key(name) not in there)
    if not missing:
        return 0
    spread: list[Caption] = missing[:: max(1, len(missing) // _MOST_WRITTEN)]

    def tokenize(caption: str, pictures: int) -> list[int]:
        ids: list[int] = text.tokenize(caption, pictures).tolist()
        return ids

    with tempfile.TemporaryDirectory(prefix="simpletuner-plan-") as scratch:
        store = TensorStore(Path(scratch))
        keys = fill_tokens(spread, store, tokenize, name, lambda _event: None)
        written = sum(store.path(key).stat().st_size for key in keys.values())
    return round(written / len(spread) * len(missing))
