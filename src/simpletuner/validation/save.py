"""Writing a picture together with the facts that made it, and reading them back."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngImageFile, PngInfo

from simpletuner.core.errors import DataError
from simpletuner.core.files import write_bytes

PictureFormat = Literal["png", "webp", "jpeg"]
EXTENSIONS: Mapping[PictureFormat, str] = {"png": "png", "webp": "webp", "jpeg": "jpg"}

# The EXIF comment begins with the name of its character set, padded to 8 bytes; UNICODE is UTF-16.
_UNICODE = b"UNICODE\0"


def save_picture(
    image: Image.Image, path: Path, picture_format: PictureFormat, quality: int, facts: Mapping[str, str]
) -> None:
    """Write ``image`` whole or not at all, with ``facts`` (prompt, seed, steps, ...) inside.

    PNG holds one text entry a fact, WebP and JPEG one JSON object in the EXIF user comment. ``quality`` (1-100)
    is for the lossy two. Raises ``OSError`` when the disk refuses.
    """
    content = io.BytesIO()
    if picture_format == "png":
        image.save(content, "PNG", pnginfo=_png_text(facts))
    else:
        image.convert("RGB").save(content, picture_format.upper(), quality=quality, exif=_exif(facts))
    write_bytes(path, content.getvalue())


def read_facts(path: Path) -> dict[str, str]:
    """What :func:`save_picture` wrote beside the pixels; empty for a picture without it.

    Raises ``DataError`` when the file is no whole picture.
    """
    try:
        with Image.open(path) as image:
            image.load()
            if isinstance(image, PngImageFile):
                return {key: str(value) for key, value in image.text.items()}
            return _comment_facts(image)
    except OSError as error:
        raise DataError(f"cannot be read as a picture: {error}", file=path, cure="make it again") from error


def _png_text(facts: Mapping[str, str]) -> PngInfo:
    text = PngInfo()
    for key, value in facts.items():
        text.add_text(key, value)
    return text


def _exif(facts: Mapping[str, str]) -> Image.Exif:
    exif = Image.Exif()
    comment = json.dumps(dict(facts), ensure_ascii=False)
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = _UNICODE + comment.encode("utf-16-be")
    return exif


def _comment_facts(image: Image.Image) -> dict[str, str]:
    comment = image.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment)
    if not isinstance(comment, bytes) or not comment.startswith(_UNICODE):
        return {}
    try:
        facts = json.loads(comment.removeprefix(_UNICODE).decode("utf-16-be"))
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in facts.items()} if isinstance(facts, dict) else {}
