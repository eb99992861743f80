"""What a file is that cannot be opened as a picture, told from its first bytes."""

from __future__ import annotations

FIRST_BYTES = 512
"""How many of them :func:`what_it_holds` wants."""

# In this order: the brands of one container come before the container.
_FOREIGN = (
    (0, b"8BPS", "a Photoshop document"),
    (0, b"%PDF", "a PDF document"),
    (0, b"%!PS", "PostScript"),
    (0, b"\xc5\xd0\xd3\xc6", "PostScript"),
    (0, b"\0\0\1\0", "an icon"),
    (0, b"PK\3\4", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL ", "JPEG XL"),
    (4, b"jP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftyphev", "HEIC"),
    (4, b"ftypmif1", "HEIF"),
)
_OWN = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG", "PNG"),
    (8, b"WEBP", "WebP"),
    (0, b"GIF8", "GIF"),
    (0, b"BM", "BMP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (4, b"ftypavi", "AVIF"),
)
_VIDEO = ((4, b"ftyp", "a video"), (0, b"\x1aE\xdf\xa3", "a video"), (8, b"AVI ", "a video"))


def what_it_holds(start: bytes) -> str:
    """Why a file that begins with ``start`` is no picture that can be opened; "" when nothing is known about it."""
    if not start:
        return "the file is empty"
    if start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        return "not a picture: it holds HTML, SVG or XML"
    if found := _named(start, _OWN):
        return f"a damaged {found} file: its header cannot be read"
    if found := _named(start, (*_FOREIGN, *_VIDEO)):
        return f"not a picture of a supported format: it holds {found}"
    return ""


def _named(start: bytes, signatures: tuple[tuple[int, bytes, str], ...]) -> str:
    return next((name for offset, magic, name in signatures if start.startswith(magic, offset)), "")
