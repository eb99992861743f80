"""Whether there is room to decode a picture: a small file may ask for gigabytes, or for hours."""

from __future__ import annotations

import re
from typing import IO

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

from simpletuner.data.entries import PictureError
from simpletuner.data.files.avif import frames_of
from simpletuner.data.places.geometry import Size

MEMORY = 240_000_000
"""Bytes that one picture may take while it is decoded, its file among them."""

# Bytes of a pixel in Pillow's memory, 4 in any other mode.
_STORED = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}
_RGB = 4
_ROW = 16
# Two canvases and the bytes that were decoded; they stay as long as the picture made of them.
_BESIDE = {"WEBP": 12, "AVIF": 12}
_COEFFICIENT = 2
_JPEG_SCALES = (1, 2, 4, 8)
# More than training ever asks for.
_PLENTY = 8_000_000

# Ten are usual; each takes a tenth of a second of a hundred megapixels.
_MOST_SCANS = 40
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_AGAIN = "save it again as JPEG or PNG"
_START_OF_IMAGE, _END_OF_IMAGE, _START_OF_SCAN = 0xD8, 0xD9, 0xDA

# TIFF tags.
_BITS, _ROWS_PER_STRIP, _TILE_WIDTH, _TILE_LENGTH = 258, 278, 322, 323


def make_room(image: Image.Image, file_bytes: int, *, turned: bool) -> None:
    """See to it that a picture that was just opened can be decoded.

    A JPEG that is too large is decoded at a half, a quarter or an eighth of its size, if that leaves 8 megapixels; it
    says that size from then on. ``turned`` says that a picture has to be made upright afterwards.

    Raises:
        PictureError: decoding would take more than :data:`MEMORY`, the file's own ``file_bytes`` among them.
    """
    needed = file_bytes + _needed(image, 1, turned=turned)
    scales = _JPEG_SCALES if isinstance(image, JpegImageFile) else (1,)
    for scale in scales:
        is_plenty = image.width * image.height >= _PLENTY * scale**2
        if file_bytes + _needed(image, scale, turned=turned) <= MEMORY and (scale == 1 or is_plenty):
            if scale > 1:
                image.draft(None, (image.width // scale, image.height // scale))
            return
    raise too_large(f"{image.width}x{image.height} pixels need {-(-needed // 1_000_000)} MB")


def too_large(found: str) -> PictureError:
    """What is said of a picture that there is no room for."""
    return PictureError(
        f"too large to decode safely: {found}, at most {MEMORY // 1_000_000} MB", cure="scale the picture down"
    )


def require_true_frames(image: Image.Image, stream: IO[bytes], file_bytes: int) -> None:
    """Refuse an AVIF whose frames are not what its container says: the decoder makes them at their own size first.

    Raises :class:`PictureError`.
    """
    try:
        frames = frames_of(stream)
    except (ValueError, EOFError) as error:
        raise _uncertain(f"its AV1 frames cannot be found ({error})") from error
    if not frames.all:
        raise _uncertain("its AV1 frames cannot be found")
    largest = max(frames.all, key=lambda size: size.width * size.height)
    needed = file_bytes + _BESIDE["AVIF"] * largest.width * largest.height
    if needed > MEMORY:
        raise too_large(f"frames of {largest} pixels need {-(-needed // 1_000_000)} MB")
    told = Size(*image.size)
    if other := next((size for size in frames.primary if size != told), None):
        raise _uncertain(f"its container says {told} pixels, and its frames are {other}")


def _uncertain(found: str) -> PictureError:
    # What begins with "too" is no damage, and never deleted: another viewer may show it.
    return PictureError(f"too uncertain to decode safely: {found}", cure=_AGAIN)


def require_few_scans(image: Image.Image, content: bytes) -> None:
    """Refuse a progressive JPEG that refines its pixels endlessly. Raises :class:`PictureError`."""
    if isinstance(image, JpegImageFile) and "progressive" in image.info and _scans(content) > _MOST_SCANS:
        raise PictureError(f"too slow to decode safely: more than {_MOST_SCANS} progressive scans", cure=_AGAIN)


def _needed(image: Image.Image, scale: int, *, turned: bool) -> int:
    """Bytes at the peak of decoding at 1 / ``scale`` of the size."""
    pixels = -(-image.width // scale) * -(-image.height // scale)
    stored = _STORED.get(image.mode, _RGB)
    is_ready = image.mode == "RGB" and not turned and not {"icc_profile", "transparency"} & image.info.keys()
    after = _BESIDE.get(str(image.format), 0) + stored + (0 if is_ready else _RGB)
    rows = _ROW * (image.width + image.height)
    return rows + max(after * pixels, stored * pixels + _while_decoding(image))


def _while_decoding(image: Image.Image) -> int:
    """Bytes that the decoder has for itself while it works."""
    if isinstance(image, JpegImageFile):
        return _coefficients(image) if "progressive" in image.info else 0
    return _strip(image) if isinstance(image, TiffImageFile) else 0


def _coefficients(image: JpegImageFile) -> int:
    """Bytes of what a progressive JPEG is refined in, at its full size whatever it is decoded at."""
    widest = max((across for _, across, _, _ in image.layer), default=1) or 1
    tallest = max((down for _, _, down, _ in image.layer), default=1) or 1
    shares = (across * down / (widest * tallest) for _, across, down, _ in image.layer)
    return round(sum(shares) * image.width * image.height) * _COEFFICIENT


def _strip(image: TiffImageFile) -> int:
    """Bytes of the largest strip or tile, which is decoded in one piece; a tile may be larger than the picture."""
    tags = image.tag_v2
    bits = sum(tags.get(_BITS, (1,)))
    if _TILE_WIDTH in tags:
        return int(tags[_TILE_WIDTH] * tags.get(_TILE_LENGTH, 0) * bits // 8)
    return int(image.width * min(tags.get(_ROWS_PER_STRIP, image.height), image.height) * bits // 8)


def _scans(content: bytes) -> int:
    """How often a JPEG goes over its pixels: it is walked marker by marker, past previews, to its own end."""
    found, position = 0, 0
    while marker := _MARKER.search(content, position):
        kind, position = marker[1][0], marker.end()
        if kind == _END_OF_IMAGE:
            break
        found += kind == _START_OF_SCAN
        if kind != _START_OF_IMAGE:
            position += int.from_bytes(content[position : position + 2])
    return found
