"""What a picture's header says, read without decoding its pixels."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from PIL import ExifTags, Image

from simpletuner.data.entries import PictureError
from simpletuner.data.geometry import Size

# The format is sniffed from the content whatever the extension says, so everything else stays shut: EPS would start
# Ghostscript, PSD and others have had memory faults.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
MAXIMUM_PIXELS = 100_000_000

# Pillow documents none of these as the ones a broken file raises; each was met on one.
PILLOW_FAULTS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    OverflowError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

_UNREADABLE = "replace the file, or save it again as JPEG or PNG"
_TAIL = 1 << 16
_ENDS = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND", "GIF": b";"}
_PNG_SIGNATURE = 8
_LATE_METADATA = (b"eXIf", b"iTXt", b"tEXt", b"zTXt")


@dataclass(frozen=True)
class Header:
    """The size after EXIF rotation, Pillow's name of the format, and whether there is more than one frame."""

    size: Size
    format: str
    animated: bool
    complete: bool


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Silence Pillow's warnings about large pictures and odd EXIF: we refuse the one and survive the other.

    Not thread-safe, so enter it before starting threads, not in them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", module=r"PIL\..*")
        yield


def open_picture(stream: IO[bytes]) -> Image.Image:
    """Open without decoding. Raises :class:`PictureError` for a foreign format, a broken header or a bomb."""
    try:
        image = Image.open(stream, formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _bomb(str(error)) from error
    except PILLOW_FAULTS as error:
        raise PictureError(_why_unopened(stream), cure=_UNREADABLE) from error
    if image.width * image.height > MAXIMUM_PIXELS:
        raise _bomb(f"{image.width}x{image.height} pixels")
    return image


def read_header(stream: IO[bytes]) -> Header:
    """Size, format and completeness of a picture. ``stream`` must seek. Raises :class:`PictureError`."""
    image = open_picture(stream)
    try:
        # The base class's method: PNG's own would decode the pixels to look for EXIF behind them.
        late = image.format == "PNG" and _has_late_metadata(stream)
        exif = image.getexif() if late else Image.Image.getexif(image)
        turned = exif.get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
        # A TIFF's size is upright already.
        size = Size(image.height, image.width) if turned and image.format != "TIFF" else Size(*image.size)
        return Header(size, str(image.format), _is_animated(image), _has_end(stream, str(image.format)))
    except PILLOW_FAULTS as error:
        raise PictureError(f"its header is broken ({error})", cure=_UNREADABLE) from error


def _bomb(found: str) -> PictureError:
    return PictureError(
        f"too large to decode safely: {found}, at most {MAXIMUM_PIXELS // 1_000_000} megapixels",
        cure="scale the picture down",
    )


def _why_unopened(stream: IO[bytes]) -> str:
    stream.seek(0)
    start = stream.read(512)
    if not start:
        return "the file is empty"
    if start.lstrip()[:1] == b"<":
        return "not a picture: it holds HTML, SVG or XML"
    return f"not a readable picture of a supported format ({', '.join(FORMATS)})"


def _is_animated(image: Image.Image) -> bool:
    if image.format == "MPO":
        return False  # a photo and its preview or depth, not an animation
    try:
        image.seek(1)
        image.seek(0)
    except EOFError:
        return False
    return True


def _has_end(stream: IO[bytes], format_name: str) -> bool:
    """Whether the file ends as its format does. False is a suspicion only: decoding decides."""
    size = stream.seek(0, io.SEEK_END)
    if format_name == "WEBP":
        stream.seek(4)
        return int.from_bytes(stream.read(4), "little") + 8 <= size
    # Cameras append previews and trailers, so the mark may lie before the very end.
    stream.seek(max(size - _TAIL, 0))
    return _ENDS.get(format_name, b"") in stream.read()


def _has_late_metadata(stream: IO[bytes]) -> bool:
    """Whether a PNG has chunks behind its pixels that may hold an orientation; some tools write EXIF there."""
    position, behind_pixels = _PNG_SIGNATURE, False
    while True:
        stream.seek(position)
        head = stream.read(8)
        if len(head) < 8:
            return False
        behind_pixels = behind_pixels or head[4:] == b"IDAT"
        if behind_pixels and head[4:] in _LATE_METADATA:
            return True
        position += 12 + int.from_bytes(head[:4])
