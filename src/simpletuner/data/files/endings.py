"""Whether a picture file ends as its format does: what tells a truncated one without decoding it."""

from __future__ import annotations

import io
from typing import IO, Literal

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

# Cameras append previews and trailers, so a mark may lie before the very end.
_TAIL = 1 << 16
_MARKS = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND"}
# TIFF tags: where strips or tiles begin, and their lengths.
_PIECES = ((273, 279), (324, 325))


def has_end(image: Image.Image, stream: IO[bytes], pixels: int) -> bool:
    """Whether the file is as long as it says, or has its mark behind ``pixels``, where its header ends.

    False is a suspicion only: decoding decides. Raises what Pillow raises of broken tags.
    """
    size = stream.seek(0, io.SEEK_END)
    name = str(image.format)
    if name in _MARKS:
        # A preview in the header has the same mark.
        return _MARKS[name] in _tail(stream, max(size - _TAIL, min(pixels, size)))
    if name == "GIF":
        # Its mark is too short to be looked for elsewhere.
        return _tail(stream, max(size - _TAIL, 0)).rstrip(b"\0").endswith(b";")
    return _declared_end(image, stream, size) <= size


def _tail(stream: IO[bytes], start: int) -> bytes:
    stream.seek(start)
    return stream.read()


def _declared_end(image: Image.Image, stream: IO[bytes], size: int) -> int:
    if isinstance(image, TiffImageFile):
        return _end_of_pieces(image)
    match image.format:
        case "WEBP":
            return _number(stream, 4, 4, "little") + 8
        case "BMP":
            return _number(stream, 2, 4, "little")
        case _:
            return _end_of_boxes(stream, size)


def _end_of_pieces(image: TiffImageFile) -> int:
    tags = image.tag_v2
    ends = [
        start + length
        for starts, lengths in _PIECES
        for start, length in zip(tags.get(starts, ()), tags.get(lengths, ()), strict=False)
    ]
    return max(ends, default=0)


def _end_of_boxes(stream: IO[bytes], size: int) -> int:
    """Where the last box of an AVIF ends."""
    position = 0
    while position < size:
        length = _number(stream, position, 4, "big")
        if length == 1:
            length = _number(stream, position + 8, 8, "big")
        if length == 0:
            return size
        position += max(length, 8)
    return position


def _number(stream: IO[bytes], position: int, length: int, order: Literal["little", "big"]) -> int:
    stream.seek(position)
    return int.from_bytes(stream.read(length), order)
