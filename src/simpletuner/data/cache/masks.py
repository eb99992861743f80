"""Masks as weights of latent cells, through the same window as their pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from simpletuner.data.cache.decode import first_read, known_content, naming
from simpletuner.data.cache.keys import mask_key, window_ingredients
from simpletuner.data.cache.store import TensorStore
from simpletuner.data.entries import Dropped, Entry, PictureError, printable
from simpletuner.data.files.damage import damage_of
from simpletuner.data.files.digests import Digests
from simpletuner.data.files.images import open_rgb, resize_and_crop
from simpletuner.data.places.crops import Crop
from simpletuner.data.places.geometry import Placement, Size
from simpletuner.data.sources.base import Source

_WEIGHTS = "weights"
# How far the shape of a mask may be from that of its picture.
_TOLERANCE = 0.01
# Of 255. Scaling blurs and rings: the pixel beside an edge gets up to 17 where there was nothing.
_TRACE = 40


def mask_weights(
    content: bytes, placement: Placement, crop: Crop, size: Size, *, cells: int = 8, binary: bool = False
) -> Tensor:
    """How much each latent cell of a picture counts, (1, h, w) float32 in [0, 1], from the bytes of its mask file.

    ``placement``, ``crop`` and ``size`` are the picture's; a cell covers ``cells`` by ``cells`` pixels. The weight is
    the mean of the mask's first channel (SPEC 9.1). ``binary`` (a segmentation): 1 for each cell in which anything of
    the mask is above zero, else 0.

    Raises:
        PictureError: the file cannot be decoded, or its shape is not that of the picture.
    """
    image = open_rgb(content).getchannel(0)
    _require_shape(Size(*image.size), size)
    if binary:
        image = image.point(lambda value: 255 if value else 0)
    window = _in_cells(resize_and_crop(image, placement, crop), cells)
    weights = window.max(axis=(1, 3)) > _TRACE if binary else window.mean(axis=(1, 3), dtype=np.float64) / 255
    return torch.from_numpy(weights.astype(np.float32))[None]


def _require_shape(mask: Size, size: Size) -> None:
    if abs(mask.width * size.height / (mask.height * size.width) - 1) > _TOLERANCE:
        raise PictureError(
            f"the mask is {mask} and its picture {size}", cure="save the mask at the size of its picture"
        )


def _in_cells(window: Image.Image, cells: int) -> NDArray[np.uint8]:
    """(h, cells, w, cells) of a gray picture."""
    rows, columns = window.height // cells, window.width // cells
    values = np.asarray(window)[: rows * cells, : columns * cells]
    return values.reshape(rows, cells, columns, cells)


@dataclass(frozen=True)
class MaskKind:
    """``binary`` as in :func:`mask_weights`; ``keep=False`` stores nothing; ``cells`` pixels make a latent cell."""

    binary: bool = False
    keep: bool = True
    cells: int = 8


class MasksOnDemand:
    """The masks of one data set's pictures: from the cache where it has them, else made then and there.

    ``source`` and ``digests`` are those of the masks; ``partners`` maps the path of a picture to that of its mask. May
    be called from several threads.
    """

    def __init__(
        self, source: Source, digests: Digests, store: TensorStore, partners: Mapping[str, str], kind: MaskKind
    ) -> None:
        self._source = source
        self._digests = digests
        self._store = store
        self._partners = partners
        self._kind = kind

    @property
    def folder(self) -> Path:
        """Where masks are kept."""
        return self._store.folder

    def keys(self, entries: Iterable[Entry]) -> frozenset[str]:
        """The cache keys of the masks of pictures; those of files whose bytes have not been read are left out."""
        known = ((entry, self._digests.get(self._partners[entry.sample.path])) for entry in entries)
        return frozenset(self._key(entry, digest) for entry, digest in known if digest is not None)

    def damage(self, pictures: Iterable[str]) -> dict[str, tuple[str, str, str]]:
        """Which masks of pictures cannot be decoded: path of the mask to (version, reason, cure)."""
        masks = (self._partners[path] for path in pictures if path in self._partners)
        return damage_of(self._source, [Dropped(path, "", "replace or remove the mask") for path in masks])

    def remove(self, keys: Iterable[str]) -> None:
        """Remove masks from the cache; one that is not there is no error."""
        for key in keys:
            self._store.remove(key)

    def __call__(self, entry: Entry) -> Tensor:
        """How much each latent cell of a picture counts, (1, h, w).

        Raises:
            PictureError: the mask cannot be decoded, has another shape than its picture, or has changed since it was
                first read and is not in the cache.
        """
        path = self._partners[entry.sample.path]
        with naming(path):
            digest, content = first_read(self._source, self._digests, path)
            key = self._key(entry, digest)
            found = self._store.read(key)
            return found[_WEIGHTS] if found is not None else self._make(entry, key, digest, content)

    def _key(self, entry: Entry, digest: str) -> str:
        return mask_key(digest, entry.placement, entry.crop, self._kind.cells, binary=self._kind.binary)

    def _make(self, entry: Entry, key: str, digest: str, content: bytes | None) -> Tensor:
        path, kind = self._partners[entry.sample.path], self._kind
        content = content or known_content(self._source, path, digest)
        size = Size(entry.width, entry.height)
        made = mask_weights(content, entry.placement, entry.crop, size, cells=kind.cells, binary=kind.binary)
        if kind.keep:
            facts = {"sample": printable(str(entry.sample)), "mask": printable(path)}
            self._store.write(key, {_WEIGHTS: made}, facts | window_ingredients(entry.placement, entry.crop))
        return made
