"""From a file's bytes to the upright 8-bit RGB window that is trained on."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms, ImageOps

from simpletuner.data.crops import Crop
from simpletuner.data.entries import PictureError
from simpletuner.data.geometry import Placement
from simpletuner.data.headers import PILLOW_FAULTS, open_picture

# What shows through a transparent picture. Documented: users draw stickers and logos on white.
GROUND = (255, 255, 255, 255)

_DEEP_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
_ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")


def open_rgb(content: bytes) -> Image.Image:
    """Decode the first frame as upright sRGB of 8 bits a channel, transparency laid on white.

    Raises:
        PictureError: the file is no picture of a supported format, truncated, damaged or too large.
    """
    image = open_picture(io.BytesIO(content))
    try:
        image.load()
        profile = image.info.get("icc_profile")
        return _to_rgb(_flatten(ImageOps.exif_transpose(image)), profile)
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
        return _to_eight_bits(image)
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        upper = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", upper.size, GROUND), upper).convert("RGB")
    return image


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit, 32-bit and float gray; Pillow's own conversion would clip at 255 and leave white."""
    values = np.nan_to_num(np.asarray(image).astype(np.float64))
    brightest = float(values.max())
    if image.mode == "F" and brightest <= 1.0:
        scale = 255.0
    elif image.mode in ("I", "F") and brightest <= 255.0:
        scale = 1.0
    else:
        scale = 255.0 / max(65535.0, brightest)
    return Image.fromarray(np.clip(values * scale + 0.5, 0, 255).astype(np.uint8))


def _to_rgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    managed = _through_profile(image, profile) if profile and image.mode in ("RGB", "L", "CMYK") else None
    return managed or image.convert("RGB")


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
