"""From picture files to the pixels that the VAE sees, read ahead in threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from simpletuner.data.cache.keys import content_digest
from simpletuner.data.cache.pixels import to_tensor
from simpletuner.data.entries import Entry, PictureError
from simpletuner.data.files.digests import Digests
from simpletuner.data.files.images import open_rgb, resize_and_crop
from simpletuner.data.places.geometry import Size
from simpletuner.data.places.limits import mismatch_refusal
from simpletuner.data.sources.base import Source

_JPEG = b"\xff\xd8"


def picture_pixels(entry: Entry, content: bytes) -> Tensor:
    """The pixels (3, H, W) in [-1, 1] that the VAE sees of a picture file. Raises PictureError."""
    image = open_rgb(content)
    told = Size(entry.width, entry.height)
    if refusal := mismatch_refusal(told, Size(*image.size), jpeg=content.startswith(_JPEG)):
        raise PictureError(refusal.reason, cure=refusal.cure)
    return to_tensor(resize_and_crop(image, entry.placement, entry.crop))


def first_read(source: Source, digests: Digests, path: str) -> tuple[str, bytes | None]:
    """The digest of a file, found once in a run, and its bytes if they were read to find it. Raises PictureError."""
    known = digests.get(path)
    if known is not None:
        return known, None
    content, digest = digests.read(source, path)
    return digest, content


def known_content(source: Source, path: str, digest: str) -> bytes:
    """The bytes of a file whose digest is known. Raises PictureError when it cannot be read or is another one now."""
    content = source.read(path)
    if content_digest(content) != digest:
        raise PictureError(
            "its bytes changed after it was first read, and the cache does not have what was made of it then",
            cure="start again: the run goes on with the new file",
        )
    return content


@contextmanager
def naming(file: str) -> Iterator[None]:
    """Say which file it is when a picture cannot be used."""
    try:
        yield
    except PictureError as error:
        raise PictureError(error.reason, file=file, cure=error.cure) from error
