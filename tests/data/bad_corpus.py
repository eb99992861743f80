"""Bad picture and caption files, and good ones that look bad: each says what must become of it."""

from __future__ import annotations

import gzip
import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

WORDS = b"a good caption"


@dataclass(frozen=True)
class Case:
    """One file: ``reason`` is a piece of what the report says of it when it is ``dropped``.

    ``text`` is the caption file beside it, None for none. A ``hidden`` file is nobody's: neither used nor reported.
    """

    file: str
    make: bytes | Callable[[Path], object]
    fate: Literal["dropped", "used", "hidden"] = "dropped"
    reason: str = ""
    text: bytes | None = WORDS
    reported: str = ""

    @property
    def name(self) -> str:
        """How the report spells the file."""
        return self.reported or self.file

    def write(self, folder: Path) -> None:
        """Make the file, and its caption, below ``folder``."""
        path = folder / self.file
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(self.make, bytes):
            path.write_bytes(self.make)
        else:
            self.make(path)
        if self.text is not None:
            path.with_suffix(".txt").write_bytes(self.text)


def corpus() -> list[Case]:
    """Every case. No two share a name or a stem."""
    kinds = (_nothing, _foreign, _truncated, _damaged_png, _bombs, _odd_files, _names, _colours, _kinds, _captions)
    return [case for kind in kinds for case in kind()]


def photo(width: int = 80, height: int = 64, seed: int = 1) -> Image.Image:
    """Smooth noise, which every format keeps in many bytes."""
    values = np.random.default_rng(seed).integers(0, 255, (height // 4 + 1, width // 4 + 1, 3), dtype=np.uint8)
    return Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, format_name: str, **options: Any) -> bytes:
    """The bytes of a picture file."""
    stream = io.BytesIO()
    image.save(stream, format_name, **options)
    return stream.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def flat_png(width: int, height: int, bits: int = 8, colour: int = 0) -> bytes:
    """A PNG of one colour, whatever its size: a megapixel is a kilobyte. ``colour`` is PNG's colour type."""
    samples = {0: 1, 2: 3, 6: 4}[colour]
    row = bytes((width * bits * samples + 7) // 8 + 1)
    packer = zlib.compressobj(1)
    pixels = b"".join([packer.compress(row) for _ in range(height)]) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def declared_png(width: int, height: int) -> bytes:
    """A PNG whose header says a size that its pixels do not have."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(9000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def exif(orientation: int) -> Image.Exif:
    """EXIF data that say how the camera was held."""
    found = Image.Exif()
    found[0x0112] = orientation
    return found


def frames(format_name: str, **options: Any) -> bytes:
    """An animation of three pictures."""
    first, *rest = (photo(seed=seed) for seed in (1, 2, 3))
    return encoded(first, format_name, save_all=True, append_images=rest, **options)


def _nothing() -> Iterator[Case]:
    yield Case("empty.jpg", b"", reason="the file is empty")
    yield Case("zeros.png", bytes(4000), reason="not a readable picture")
    yield Case("text.jpg", b"This is a picture of a cat.\n", reason="not a readable picture")
    yield Case("page.jpg", b"\n<!DOCTYPE html><html><body>404</body></html>", reason="HTML")
    yield Case("marked_page.webp", b"\xef\xbb\xbf<html></html>", reason="HTML")
    yield Case("drawing.png", b'<svg xmlns="http://www.w3.org/2000/svg"/>', reason="SVG")
    yield Case("answer.jpg", b'{"error": "not found"}', reason="not a readable picture")


def _foreign() -> Iterator[Case]:
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nquit\n"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("a.png", encoded(photo(), "PNG"))
    video = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(200)
    yield Case("vector.png", eps, reason="PostScript")
    yield Case("layers.png", b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 64, 64, 8, 3), reason="Photoshop")
    yield Case("icon.png", encoded(photo(), "ICO"), reason="an icon")
    yield Case("targa.jpg", encoded(photo(), "TGA"), reason="not a readable picture")
    yield Case("paper.jpg", encoded(photo(), "PDF"), reason="PDF")
    yield Case("archive.jpg", archive.getvalue(), reason="ZIP")
    yield Case("packed.jpg", gzip.compress(encoded(photo(), "JPEG"), mtime=0), reason="gzip")
    yield Case("film.jpg", video, reason="video")
    yield Case("wavelets.jpg", encoded(photo(), "JPEG2000"), reason="JPEG 2000")
    yield Case("phone.jpg", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), reason="HEIC")
    yield Case("phone.heic", b"\0\0\0\x18ftypheic", reason=".heic files are not supported", text=None)
    yield Case("next.jxl", b"\xff\x0a", reason=".jxl files are not supported")
    yield Case("old.jp2", encoded(photo(), "JPEG2000"), reason=".jp2 files are not supported")
    yield Case("vector.svg", b"<svg/>", reason=".svg files are not supported", text=None)


def _truncated() -> Iterator[Case]:
    whole = photo(200, 160)
    contents = {
        "jpg": encoded(whole, "JPEG"),
        "progressive.jpg": encoded(whole, "JPEG", progressive=True),
        "thumbnailed.jpg": _with_preview(whole),
        "png": encoded(whole, "PNG"),
        "webp": encoded(whole, "WEBP"),
        "gif": encoded(whole, "GIF"),
        "bmp": encoded(whole, "BMP"),
        "tif": encoded(whole, "TIFF"),
        "avif": encoded(whole, "AVIF"),
    }
    # These are read as a whole when they are opened.
    early = ("cut_middle.webp", "cut_tail.webp", "cut_middle.avif")
    for name, content in contents.items():
        stem, _, suffix = name.rpartition(".")
        for part, kept in {"head": 20, "middle": len(content) // 2, "tail": len(content) - 40}.items():
            file = f"cut_{part}_{stem}.{suffix}" if stem else f"cut_{part}.{suffix}"
            reason = "damaged" if part == "head" or file in early else "its pixels cannot be decoded"
            yield Case(file, content[:kept], reason=reason)


def _with_preview(image: Image.Image) -> bytes:
    """A JPEG whose header holds a whole small JPEG, as cameras write it."""
    preview = encoded(image.resize((40, 32)), "JPEG")
    segment = b"\xff\xec" + struct.pack(">H", len(preview) + 2) + preview
    content = encoded(image, "JPEG")
    return content[:2] + segment + content[2:]


def _damaged_png() -> Iterator[Case]:
    whole = encoded(photo(), "PNG")
    at = whole.index(b"IDAT")
    length = int.from_bytes(whole[at - 4 : at])
    pixels = whole[at + 4 : at + 4 + length]
    head, tail = whole[: at - 4], whole[at + length + 8 :]
    wrong = bytearray(whole)
    wrong[at + length + 5] ^= 255
    yield Case("no_idat.png", head + tail, reason="its pixels cannot be decoded")
    yield Case("bad_zlib.png", head + chunk(b"IDAT", b"no" + pixels[2:]) + tail, reason="its pixels cannot be decoded")
    yield Case("few_pixels.png", head + chunk(b"IDAT", zlib.compress(bytes(500))) + tail, reason="decoded")
    yield Case("bad_header_crc.png", whole[:29] + b"xxxx" + whole[33:], reason="damaged PNG")
    yield Case("zero_width.png", declared_png(0, 64), reason="damaged PNG")
    yield Case("chunk_flood.png", head + chunk(b"fLOD", b"") * 60_000 + whole[len(head) :], reason="damaged PNG")
    yield Case("no_iend.png", whole[:-12], "used")
    # The pixels have a checksum of their own, and it is right.
    yield Case("bad_pixel_crc.png", bytes(wrong), "used")


def _bombs() -> Iterator[Case]:
    too_large = "too large to decode safely"
    yield Case("bomb_13000.png", flat_png(13_000, 13_000, 1), reason=too_large)
    yield Case("bomb_50000.png", declared_png(50_000, 50_000), reason=too_large)
    yield Case("bomb_alpha.png", flat_png(7000, 5000, 8, 6), reason=too_large)
    yield Case("bomb_deep.png", flat_png(9000, 9000, 16), reason=too_large)
    yield Case("bomb.bmp", _with_size(encoded(photo(), "BMP"), 60_000), reason=too_large)
    frame = struct.pack("<HHHHB", 0, 0, 65_535, 65_535, 0)
    gif = b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0x80, 0, 0) + bytes(6) + b"," + frame + b"\x02\x02L\x01\0;"
    yield Case("bomb.gif", gif, reason=too_large)
    yield Case("bomb_tile.tif", tiled_tiff(16_000, 16_000), reason=too_large)
    webp = b"RIFF" + struct.pack("<I", 400) + b"WEBPVP8L" + struct.pack("<IBI", 388, 0x2F, 0x0FFFFFFF) + bytes(400)
    yield Case("bomb_lossless.webp", webp, reason=too_large)
    yield Case("bomb_comments.gif", _comment_flood(), reason="damaged GIF")
    yield Case("bomb_segments.jpg", _segment_flood(), reason="damaged JPEG")
    yield Case("bomb_scans.jpg", scan_flood(), reason="progressive scans")
    yield Case("bomb_text.png", _text_bomb(), reason="damaged PNG")
    yield Case("bomb_sparse.jpg", lambda path: _sparse(path, encoded(photo(), "JPEG"), 3 << 30), reason=too_large)
    yield Case("sparse.png", lambda path: _sparse(path, b"", 3 << 30), reason="not a readable picture")


def _with_size(bitmap: bytes, edge: int) -> bytes:
    return bitmap[:18] + struct.pack("<ii", edge, edge) + bitmap[26:]


def tiled_tiff(width: int, height: int) -> bytes:
    """A picture of 64x64 in one deflated tile that is far larger."""
    row = bytes(width)
    packer = zlib.compressobj(1)
    tile = b"".join([packer.compress(row) for _ in range(height)]) + packer.flush()
    tags = [
        (256, 64), (257, 64), (258, 8), (259, 8), (262, 1), (277, 1), (322, width), (323, height),
        (324, 8 + 2 + 12 * 10 + 4), (325, len(tile)),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + tile


def scan_flood(size: int = 64, scans: int = 500) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    content = encoded(Image.new("L", (size, size), 90), "JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    return content[:last] + content[last:-2] * scans + content[-2:]


def _comment_flood() -> bytes:
    content = encoded(photo().quantize(16), "GIF")
    after = 13 + (3 << ((content[10] & 7) + 1))
    return content[:after] + b"\x21\xfe\x01x\0" * 30_000 + content[after:]


def _segment_flood() -> bytes:
    content = encoded(photo(), "JPEG")
    return content[:2] + b"\xff\xfe\0\x02" * 30_000 + content[2:]


def _text_bomb() -> bytes:
    content = encoded(photo(), "PNG")
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(30_000_000)))
    return content[:33] + text + content[33:]


def _sparse(path: Path, start: bytes, size: int) -> None:
    with path.open("wb") as stream:
        stream.write(start)
        stream.truncate(size)


def _odd_files() -> Iterator[Case]:
    def loop(path: Path) -> None:
        path.mkdir()
        (path / "again").symlink_to(path)

    def outside(path: Path) -> None:
        other = path.parent.parent / "outside"
        other.mkdir(exist_ok=True)
        (other / "linked.png").write_bytes(encoded(photo(seed=9), "PNG"))
        path.symlink_to(other / "linked.png")

    def socket(path: Path) -> None:
        os.mknod(path, stat.S_IFSOCK | 0o600)

    yield Case("pipe.png", os.mkfifo, reason="not a regular file")
    yield Case("socket.jpg", socket, reason="not a regular file")
    yield Case("device.png", lambda path: path.symlink_to("/dev/zero"), reason="not a regular file")
    yield Case("nowhere.png", lambda path: path.symlink_to("gone.png"), reason="broken link")
    yield Case("itself.png", lambda path: path.symlink_to("itself.png"), reason="broken link")
    yield Case("unreadable.png", lambda path: path.symlink_to("/proc/self/mem"), reason="cannot be read")
    yield Case("folder.png", lambda path: path.mkdir(), "hidden")
    yield Case("loop", loop, "hidden", text=None)
    yield Case(".hidden.png", b"broken", "hidden")
    yield Case("__MACOSX/._photo.jpg", b"broken", "hidden")
    yield Case(".thumbs/small.png", b"broken", "hidden")
    yield Case("linked.png", outside, "used")


def _names() -> Iterator[Case]:
    good = encoded(photo(), "PNG")
    names = [
        "line\nbreak.png", "\U0001f431 cat.png", "\u5bcc\u58eb\u5c71.png", "\u05e9\u05dc\u05d5\u05dd.png", "-rf.png",
        " spaces  .png", "100%41.png", "caf\u00e9.png", "cafe\u0301.png", "Twin.png", "tWIN.PNG", "a.b.c.png",
        "quote'\".png",
        "x" * 251 + ".png",
    ]  # fmt: skip
    for name in names:
        yield Case(name, good, "used")
    latin = os.fsdecode(b"caf\xe9_latin.png")
    yield Case(latin, good, reason="not valid UTF-8", reported="caf\\udce9_latin.png")
    yield Case("twins/a.png", good, "used")
    yield Case("twins/a.jpg", encoded(photo(), "JPEG"), "used")


def _colours() -> Iterator[Case]:
    image = photo()
    deep = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    real = np.asarray(image.convert("L")).astype(np.float32) / 255
    real[0, :3] = np.nan, np.inf, -np.inf
    alpha = image.copy()
    alpha.putalpha(image.convert("L"))
    contents = {
        "deep_gray.png": encoded(deep, "PNG"),
        "deep_gray.tif": encoded(deep, "TIFF"),
        "deep_colour.png": flat_png(64, 64, 16, 2),
        "cmyk.jpg": encoded(image.convert("CMYK"), "JPEG"),
        "ycbcr.jpg": encoded(image.convert("YCbCr"), "JPEG"),
        "two_channels.png": encoded(alpha.convert("LA"), "PNG"),
        "palette.png": encoded(image.quantize(16), "PNG", transparency=3),
        "one_bit.png": encoded(image.convert("1"), "PNG"),
        "whole_numbers.tif": encoded(deep.convert("I"), "TIFF"),
        "not_a_number.tif": encoded(Image.fromarray(real), "TIFF"),
        "see_through.png": encoded(alpha, "PNG"),
        "see_through.webp": encoded(alpha, "WEBP"),
        "bad_profile.png": encoded(image, "PNG", icc_profile=b"nonsense"),
        "bad_profile.jpg": encoded(image, "JPEG", icc_profile=b"nonsense" * 40),
    }
    for number, (name, content) in enumerate(contents.items()):
        yield Case(f"colour{number}_{name}", content, "used")


def _kinds() -> Iterator[Case]:
    image, broken = photo(), b"Exif\0\0II*\0\xff\xff\xff\x7f"
    pages = encoded(image, "TIFF", save_all=True, append_images=[photo(seed=5)])
    for orientation in range(1, 9):
        yield Case(f"held_{orientation}.jpg", encoded(image, "JPEG", exif=exif(orientation)), "used")
    contents = {
        "orientation_99.jpg": encoded(image, "JPEG", exif=exif(99)),
        "broken_exif.jpg": encoded(image, "JPEG", exif=broken),
        "broken_exif.png": encoded(image, "PNG", exif=broken),
        "no_exif_at_all.webp": encoded(image, "WEBP", exif=b"Exif\0\0garbage"),
        "jpeg_inside.png": encoded(image, "JPEG"),
        "png_inside.jpg": encoded(image, "PNG"),
        "trailing_garbage.jpg": encoded(image, "JPEG") + b"garbage" * 20_000,
        "trailing_garbage.png": encoded(image, "PNG") + bytes(200_000),
        "moving.gif": frames("GIF"),
        "moving.webp": frames("WEBP"),
        "moving.png": frames("PNG"),
        "stereo.jpg": encoded(image, "MPO", save_all=True, append_images=[photo(seed=6)]),
        "pages.tif": pages,
        "lzw.tif": encoded(image, "TIFF", compression="tiff_lzw"),
        "deflate.tif": encoded(image, "TIFF", compression="tiff_adobe_deflate"),
        "tiled.tif": tiled_tiff(64, 64),
        "progressive.jpg": encoded(image, "JPEG", progressive=True),
        "interlaced.png": interlaced_png(),
        "only_first_frame.gif": frames("GIF")[:-60],
    }
    for number, (name, content) in enumerate(contents.items()):
        yield Case(f"kind{number}_{name}", content, "used")
    yield Case("one_pixel.png", encoded(photo(1, 1), "PNG"), reason="below minimum_image_size")
    yield Case("sliver.png", encoded(photo(1, 10_000), "PNG"), reason="1x10000")
    yield Case("small.jpg", encoded(photo(31, 31), "JPEG"), reason="below minimum_image_size")
    yield Case("twelve_bits.jpg", _twelve_bits(), reason="damaged JPEG")


def interlaced_png(size: int = 64) -> bytes:
    """A gray PNG in seven passes, all of one colour."""
    passes = [(8, 8), (8, 8), (4, 8), (4, 4), (2, 4), (2, 2), (1, 2)]
    starts = [(0, 0), (4, 0), (0, 4), (2, 0), (0, 2), (1, 0), (0, 1)]
    rows = b""
    for (across, down), (left, top) in zip(passes, starts, strict=True):
        rows += (b"\0" + b"\x5a" * len(range(left, size, across))) * len(range(top, size, down))
    header = struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 1)
    pixels = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def _twelve_bits() -> bytes:
    content = bytearray(encoded(photo(), "JPEG"))
    content[content.index(b"\xff\xc0") + 4] = 12
    return bytes(content)


def _captions() -> Iterator[Case]:
    good = encoded(photo(), "PNG")
    texts: dict[str, tuple[bytes | None, str]] = {
        "missing": (None, "missing"),
        "empty": (b"", "is empty"),
        "spaces": (b" \t\r\n\n ", "is empty"),
        "only_mark": (b"\xef\xbb\xbf", "is empty"),
        "only_wide_mark": (b"\xff\xfe", "is empty"),
        "wide_unmarked": ("a cat".encode("utf-16-le"), "NUL"),
        "latin": ("caf\u00e9".encode("latin-1"), "not UTF-8: caption_latin.txt, byte 3"),
        "nul": (b"a\0cat", "NUL"),
        "half_character": (b"a \xed\xa0\x80 cat", "not UTF-8"),
        "half_wide_character": (b"\xff\xfe\x00\xd8", "not UTF-8"),
        "binary": (bytes(range(256)), "not UTF-8"),
        "long": (b"word " * 400_000, "larger than 1 MiB"),
        "wide_little": (b"\xff\xfe" + "caf\u00e9".encode("utf-16-le"), ""),
        "wide_big": (b"\xfe\xff" + "caf\u00e9".encode("utf-16-be"), ""),
        "marked": (b"\xef\xbb\xbfa cat", ""),
        "dos_lines": (b"a cat\r\na dog\r\n", ""),
        "thousand_words": (b"word " * 1000, ""),
    }
    for name, (text, reason) in texts.items():
        yield Case(f"caption_{name}.png", good, "dropped" if reason else "used", reason, text)
    yield Case("caption_folder.png", _with_odd_caption(Path.mkdir), reason="missing", text=None)
    yield Case("caption_pipe.png", _with_odd_caption(os.mkfifo), reason="missing", text=None)


def _with_odd_caption(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def both(path: Path) -> None:
        path.write_bytes(encoded(photo(), "PNG"))
        make(path.with_suffix(".txt"))

    return both
