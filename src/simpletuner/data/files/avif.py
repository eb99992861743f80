"""The sizes of the AV1 frames in an AVIF, which are what decoding takes memory for, whatever its container says.

ISO/IEC 14496-12 and 23008-12.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from simpletuner.data.files.av1 import WHOLE, Extents, Numbers, frame_sizes
from simpletuner.data.places.geometry import Size

# None of these is near what a real file has; each keeps a forged one from costing minutes.
_MOST_BOXES, _LARGEST_BOX, _MOST_EXTENTS = 1000, 4_000_000, 4096
_SAMPLE_TABLE = (b"trak", b"mdia", b"minf", b"stbl")


@dataclass(frozen=True)
class Frames:
    """What the sequence headers say: ``all`` of the items and first samples, and those of the ``primary`` item.

    An item that is put together of others (a grid) has no header of its own.
    """

    all: tuple[Size, ...]
    primary: tuple[Size, ...]


def frames_of(stream: IO[bytes]) -> Frames:
    """The size of every AV1 sequence that decoding the first picture may need. ``stream`` must seek.

    Raises:
        ValueError: a part has more boxes, extents or units than a picture has.
        EOFError: a header is cut.
    """
    found: list[Size] = []
    primary: list[Size] = []
    for kind, start, payload in _outer_boxes(stream):
        if kind == b"moov":
            found += [size for sample in _first_samples(payload) for size in frame_sizes(stream, [sample])]
            continue
        boxes = list(_boxes(payload, 4))
        sizes = [(item, list(frame_sizes(stream, extents))) for item, extents in _pictures(boxes, start)]
        found += [size for _, some in sizes for size in some]
        primary += [size for item, some in sizes for size in some if item == _primary(boxes)]
    return Frames(tuple(found), tuple(primary))


def _outer_boxes(stream: IO[bytes]) -> Iterator[tuple[bytes, int, bytes]]:
    """Kind, place and payload of the boxes that say where pictures are."""
    end, position = stream.seek(0, io.SEEK_END), 0
    for _ in range(_MOST_BOXES):
        stream.seek(position)
        head = stream.read(16)
        if len(head) < 8:
            return
        length, kind, before = int.from_bytes(head[:4]), head[4:8], 8
        if length == 1:
            length, before = int.from_bytes(head[8:]), 16
        length = length or end - position
        if length < before:
            return
        if kind in (b"meta", b"moov"):
            yield kind, position + before, _read_box(stream, position + before, length - before)
        position += length
    raise ValueError("too many boxes")


def _read_box(stream: IO[bytes], start: int, length: int) -> bytes:
    if length > _LARGEST_BOX:
        raise ValueError("a box of its header is too large")
    stream.seek(start)
    return stream.read(length)


def _boxes(data: bytes, position: int = 0) -> Iterator[tuple[bytes, int, bytes]]:
    """Kind, place in ``data`` and payload of each box."""
    for _ in range(_MOST_BOXES):
        length, kind, before = int.from_bytes(data[position : position + 4]), data[position + 4 : position + 8], 8
        if length == 1:
            length, before = int.from_bytes(data[position + 8 : position + 16]), 16
        length = length or len(data) - position
        if length < before:
            return
        yield kind, position + before, data[position + before : position + length]
        position += length
    raise ValueError("too many boxes")


def _primary(boxes: Sequence[tuple[bytes, int, bytes]]) -> int:
    return next((int.from_bytes(box[4 : 8 if box[:1] > b"\0" else 6]) for kind, _, box in boxes if kind == b"pitm"), -1)


def _pictures(boxes: Sequence[tuple[bytes, int, bytes]], start: int) -> Iterator[tuple[int, Extents]]:
    """Each AV1 item of a meta box that begins at ``start``, with the pieces of the file that it lies in."""
    coded = {item for kind, _, box in boxes if kind == b"iinf" for item in _av1_items(box)}
    own = next((start + place for kind, place, _ in boxes if kind == b"idat"), 0)
    located = (found for kind, _, box in boxes if kind == b"iloc" for found in _located(Numbers(box)))
    for item, origin, extents in located:
        if item in coded:
            yield item, [(offset + own * origin, length) for offset, length in extents]


def _av1_items(box: bytes) -> Iterator[int]:
    for kind, _, entry in _boxes(box, 8 if box[:1] > b"\0" else 6):
        wide = 4 if entry[:1] > b"\2" else 2
        if kind == b"infe" and entry[6 + wide : 10 + wide] == b"av01":
            yield int.from_bytes(entry[4 : 4 + wide])


def _located(box: Numbers) -> Iterator[tuple[int, int, Extents]]:
    """Item, 1 where its pieces are counted from the idat box and 0 where from the file, and the pieces."""
    version = box.bits(32) >> 24
    offset_bits, length_bits, base_bits, index_bits = (8 * box.bits(4) for _ in range(4))
    left = _MOST_EXTENTS
    for _ in range(box.bits(16 if version < 2 else 32)):
        item = box.bits(16 if version < 2 else 32)
        origin = box.bits(16) & 15 if version else 0
        box.bits(16)
        base, count = box.bits(base_bits), box.bits(16)
        left -= count
        if left < 0:
            raise ValueError("it lies in too many pieces")
        extents = []
        for _ in range(count):
            box.bits(index_bits if version else 0)
            offset = base + box.bits(offset_bits)
            extents.append((offset, box.bits(length_bits) or WHOLE))
        yield item, origin & 1, extents


def _first_samples(moov: bytes) -> Iterator[tuple[int, int]]:
    """Where the first picture of each track lies."""
    for table in _below(moov, _SAMPLE_TABLE):
        boxes = {kind: box for kind, _, box in _boxes(table)}
        sizes = boxes.get(b"stsz", b"")
        length = int.from_bytes(sizes[4:8]) or int.from_bytes(sizes[12:16]) or WHOLE
        for kind, wide in ((b"stco", 4), (b"co64", 8)):
            if place := boxes.get(kind, b"")[8 : 8 + wide]:
                yield int.from_bytes(place), length


def _below(data: bytes, path: Sequence[bytes]) -> Iterator[bytes]:
    if not path:
        yield data
        return
    for kind, _, box in _boxes(data):
        if kind == path[0]:
            yield from _below(box, path[1:])
