"""What a picture's header says, read without decoding its pixels."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, cast

from PIL import ExifTags, Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from simpletuner.data.entries import PictureError
from simpletuner.data.files.endings import has_end
from simpletuner.data.files.magic import FIRST_BYTES, what_it_holds
from simpletuner.data.files.room import make_room, require_true_frames, too_large
from simpletuner.data.places.geometry import Size

# The format is sniffed from the content whatever the extension says, so everything else stays shut: EPS would start
# Ghostscript, PSD and others have had memory faults.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")

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
    AssertionError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

_UNREADABLE = "replace the file, or save it again as JPEG or PNG"
_PNG_SIGNATURE = 8
_LATE_METADATA = (b"eXIf", b"iTXt", b"tEXt", b"zTXt")
_MOST_CHUNKS = 100_000
# A header is some dozens of short reads. Pillow would join millions of them, each with a copy of those before.
_HEADER, _READ, _SHORT = 32_000_000, 1600, 1 << 16


@dataclass(frozen=True)
class Header:
    """The size after EXIF rotation, Pillow's name of the format, and whether there is more than one frame.

    ``complete`` is False when the file does not end as its format does: a suspicion, decoding decides.
    """

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


class _Short(io.BufferedIOBase):
    """A stream that ends when a header is read from it that does not."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._left = _HEADER

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and 0 <= size < _SHORT:
            self._left -= size + _READ
        if self._left < 0:
            raise OSError("its header does not end")
        return self._stream.read(-1 if size is None else size)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def be_patient(self) -> None:
        """Let the pixels be read, which may be many bytes."""
        self._left = 1 << 62


def open_picture(stream: IO[bytes]) -> Image.Image:
    """Open without decoding; a JPEG that is too large is opened at a fraction of its size.

    Raises :class:`PictureError` for a foreign format, a broken or endless header, or a bomb.
    """
    file_bytes = stream.seek(0, io.SEEK_END)
    short = _Short(stream)
    try:
        image = Image.open(cast(IO[bytes], short), formats=FORMATS)
        # A PNG's EXIF may lie behind its pixels, and Pillow looks for it only once.
        turned = image.format != "PNG" and orientation_of(image) > 1
        make_room(image, file_bytes, turned=turned)
        if isinstance(image, AvifImageFile):
            require_true_frames(image, stream, file_bytes)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise too_large(str(error).rstrip(".")) from error
    except PILLOW_FAULTS as error:
        raise PictureError(_why_unopened(stream), cure=_UNREADABLE) from error
    short.be_patient()
    return image


def orientation_of(image: Image.Image, *, late: bool = True) -> int:
    """The EXIF orientation, 1 to 8; broken EXIF is none, as it is to every viewer.

    ``late=False`` does not look behind the pixels of a PNG, which would decode them.
    """
    try:
        exif = image.getexif() if late else Image.Image.getexif(image)
        found = exif.get(ExifTags.Base.Orientation, 1)
    except PILLOW_FAULTS:
        return 1
    return int(found) if found in range(1, 9) else 1


def read_header(stream: IO[bytes]) -> Header:
    """Size, format and completeness of a picture. ``stream`` must seek. Raises :class:`PictureError`."""
    image = open_picture(stream)
    # Pillow has read a JPEG up to its pixels.
    pixels = stream.tell() if image.format == "JPEG" else 0
    try:
        orientation = orientation_of(image, late=image.format != "PNG" or _has_late_metadata(stream))
        if image.format == "PNG":
            make_room(image, stream.seek(0, io.SEEK_END), turned=orientation > 1)
        # A TIFF's size is upright already.
        turned = orientation >= 5 and image.format != "TIFF"
        size = Size(image.height, image.width) if turned else Size(*image.size)
        animated = _is_animated(image, stream)
        return Header(size, str(image.format), animated, has_end(image, stream, pixels))
    except PILLOW_FAULTS as error:
        raise PictureError(f"its header is broken ({error})", cure=_UNREADABLE) from error


def _why_unopened(stream: IO[bytes]) -> str:
    stream.seek(0)
    known = what_it_holds(stream.read(FIRST_BYTES))
    return known or f"not a readable picture of a supported format ({', '.join(FORMATS)})"


def _is_animated(image: Image.Image, stream: IO[bytes]) -> bool:
    """Whether frames follow the first. A photo and its preview or depth (MPO) are no animation."""
    if isinstance(image, GifImageFile):
        return _has_second_frame(stream)
    kinds = (PngImageFile, TiffImageFile, WebPImageFile, AvifImageFile)
    return isinstance(image, kinds) and bool(image.is_animated)


def _has_second_frame(stream: IO[bytes]) -> bool:
    """Whether a GIF has two: Pillow would decode the first to know, and join every comment to the ones before."""
    stream.seek(10)
    _skip_palette(stream, stream.read(3)[:1])
    frames = 0
    while kind := stream.read(1):
        if kind == b"\x2c":
            frames += 1
            if frames == 2:
                return True
            _skip_palette(stream, stream.read(9)[8:])
        elif kind != b"\x21":
            break
        stream.seek(1, io.SEEK_CUR)
        while length := int.from_bytes(stream.read(1)):
            stream.seek(length, io.SEEK_CUR)
    return False


def _skip_palette(stream: IO[bytes], flags: bytes) -> None:
    if (told := int.from_bytes(flags)) & 0x80:
        stream.seek(3 << ((told & 7) + 1), io.SEEK_CUR)


def _has_late_metadata(stream: IO[bytes]) -> bool:
    """Whether a PNG has chunks behind its pixels that may hold an orientation; some tools write EXIF there."""
    position, behind_pixels = _PNG_SIGNATURE, False
    for _ in range(_MOST_CHUNKS):
        stream.seek(position)
        head = stream.read(8)
        if len(head) < 8:
            return False
        behind_pixels = behind_pixels or head[4:] == b"IDAT"
        if behind_pixels and head[4:] in _LATE_METADATA:
            return True
        position += 12 + int.from_bytes(head[:4])
    raise OSError(f"more than {_MOST_CHUNKS} chunks")
