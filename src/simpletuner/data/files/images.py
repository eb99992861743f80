"""From a file's bytes to the upright 8-bit RGB window that is trained on."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from simpletuner.data.entries import PictureError
from simpletuner.data.files.headers import PILLOW_FAULTS, open_picture, orientation_of
from simpletuner.data.files.room import make_room, require_few_scans
from simpletuner.data.places.crops import Crop
from simpletuner.data.places.geometry import Placement

# What shows through a transparent picture. Documented: users draw stickers and logos on white.
GROUND = (255, 255, 255, 255)

_DEEP_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
_ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_STRIP_PIXELS = 1 << 18


def open_rgb(content: bytes) -> Image.Image:
    """Decode the first frame as upright sRGB of 8 bits a channel, transparency laid on white.

    Its size is what :func:`~simpletuner.data.files.headers.read_header` tells, and no more than two pictures of that
    size are in memory at a time.

    Raises:
        PictureError: the file is no picture of a supported format, truncated, damaged or too large.
    """
    image = open_picture(io.BytesIO(content))
    require_few_scans(image, content)
    try:
        image.load()
        profile = image.info.get("icc_profile")
        orientation = orientation_of(image)
        if image.format == "PNG":
            # Its EXIF may lie behind the pixels.
            make_room(image, len(content), turned=orientation > 1)
        # A new name for each step would keep the picture of the step before in memory.
        image = _flatten(image.transpose(_UPRIGHT[orientation]) if orientation > 1 else image)
        return _to_rgb(image, profile)
    except PILLOW_FAULTS as error:
        raise PictureError(
            f"its pixels cannot be decoded ({error})", cure="replace the file: it is truncated or damaged"
        ) from error


def resize_and_crop(image: Image.Image, placement: Placement, crop: Crop) -> Image.Image:
    """The trained window: what scaling to the intermediary size and then cropping gives.

    Only the window is computed, so a sliver whose intermediary would be huge costs no more than any picture.
    """
    scale_x = image.width / placement.intermediary.width
    scale_y = image.height / placement.intermediary.height
    target = placement.target
    box = (
        crop.left * scale_x,
        crop.top * scale_y,
        min((crop.left + target.width) * scale_x, image.width),
        min((crop.top + target.height) * scale_y, image.height),
    )
    return image.resize((target.width, target.height), Image.Resampling.LANCZOS, box)


def _flatten(image: Image.Image) -> Image.Image:
    """The same picture in mode L, RGB, CMYK or another opaque mode of 8 bits."""
    if image.mode in _DEEP_MODES:
        scale = _scale(image.mode, max(float(_finite(strip).max()) for _, strip in _strips(image)))
        return _by_strips(image, "L", lambda strip: _to_eight_bits(strip, scale))
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        return _by_strips(image, "RGB", _on_ground)
    return image


def _on_ground(strip: Image.Image) -> Image.Image:
    upper = strip.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", upper.size, GROUND), upper).convert("RGB")


def _scale(mode: str, brightest: float) -> float:
    """What 16-bit, 32-bit and float gray is multiplied by; Pillow's own conversion would clip and leave white."""
    if mode == "F" and brightest <= 1.0:
        return 255.0
    if mode in ("I", "F") and brightest <= 255.0:
        return 1.0
    return 255.0 / max(65535.0, brightest)


def _to_eight_bits(strip: Image.Image, scale: float) -> Image.Image:
    return Image.fromarray(np.clip(_finite(strip) * scale + 0.5, 0, 255).astype(np.uint8))


def _finite(strip: Image.Image) -> NDArray[np.float64]:
    """The values of a gray picture; what is no number, or infinite, is black."""
    return np.nan_to_num(np.asarray(strip).astype(np.float64), posinf=0.0, neginf=0.0)


def _strips(image: Image.Image) -> Iterator[tuple[tuple[int, int, int, int], Image.Image]]:
    """The picture from top to bottom: work on a strip needs little memory whatever it is."""
    rows = max(_STRIP_PIXELS // image.width, 1)
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(top + rows, image.height))
        yield box, image.crop(box)


def _by_strips(image: Image.Image, mode: str, work: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """``work`` of every strip, put together as a picture of ``mode``."""
    whole = Image.new(mode, image.size)
    for box, strip in _strips(image):
        whole.paste(work(strip), box)
    return whole


def _to_rgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    managed = _through_profile(image, profile) if profile and image.mode in ("RGB", "L", "CMYK") else None
    if managed is not None:
        return managed
    # Pillow would copy what is RGB already.
    return image if image.mode == "RGB" else image.convert("RGB")


def _through_profile(image: Image.Image, profile: bytes) -> Image.Image | None:
    """The picture in sRGB, or None when its profile is sRGB already, broken, or made for another mode."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source):
            return None
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        # A picture with a bad profile is shown by every viewer as if it had none.
        return None
