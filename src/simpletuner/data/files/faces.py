"""Where the largest face of a picture is, for crops that keep it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from simpletuner.core.errors import ConfigError
from simpletuner.core.optional import optional

_NEEDED_FOR = "crop_style face"
# Detection takes a tenth of a second at this size, and finds every face that a crop should be built around.
_LONGEST_EDGE = 640
_SHRINK_BETWEEN_SCALES = 1.1
_HITS_OF_A_FACE = 5


def find_focus(image: Image.Image) -> tuple[float, float] | None:
    """The centre of the largest face as fractions of width and height, or None when no face is found.

    ``image`` is upright RGB or gray. May be called from several threads.

    Raises:
        ConfigError: OpenCV is not installed, or has no face detector.
    """
    detector = _detector(optional("cv2", extra="data", needed_for=_NEEDED_FOR))
    small = _shrunk(image)
    found = detector.detectMultiScale(np.asarray(small), _SHRINK_BETWEEN_SCALES, _HITS_OF_A_FACE)
    if len(found) == 0:
        return None
    # OpenCV's threads find faces in any order, so equal ones need an order of our own.
    left, top, width, height = max(
        ([int(edge) for edge in box] for box in found), key=lambda box: (box[2] * box[3], -box[1], -box[0])
    )
    return (left + width / 2) / small.width, (top + height / 2) / small.height


def _detector(cv2: Any) -> Any:
    """A detector of its own for each call: one is not thread-safe, and reading it costs a tenth of a detection."""
    trained = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml"
    if not hasattr(cv2, "CascadeClassifier") or not trained.is_file():
        raise ConfigError(
            f"OpenCV {cv2.__version__} has no frontal face detector",
            key=_NEEDED_FOR,
            cure="install the last version that has it: pip install 'opencv-python-headless<5'",
        )
    return cv2.CascadeClassifier(str(trained))


def _shrunk(image: Image.Image) -> Image.Image:
    scale = min(_LONGEST_EDGE / max(image.size), 1.0)
    width, height = (max(round(edge * scale), 1) for edge in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0).convert("L")
