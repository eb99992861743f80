"""Small real pictures for the tests of this room."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from simpletuner.core.events import Event


class Pictures:
    """Makes pictures, their bytes and their files."""

    def gradient(self, width: int, height: int, shift: int = 0) -> Image.Image:
        """A picture that looks different from every side."""
        rows, columns = np.mgrid[0:height, 0:width]
        red = columns * 255 // max(width - 1, 1)
        green = rows * 255 // max(height - 1, 1)
        blue = np.full_like(red, (40 + shift) % 256)
        return Image.fromarray(np.stack([red, green, blue], axis=-1).astype(np.uint8))

    def encoded(self, image: Image.Image, format_name: str = "PNG", **options: Any) -> bytes:
        """The bytes of a picture file."""
        stream = io.BytesIO()
        image.save(stream, format_name, **options)
        return stream.getvalue()

    def write(self, path: Path, width: int, height: int, shift: int = 0) -> Path:
        """Write a picture in the format that the path's suffix says."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.gradient(width, height, shift).save(path)
        return path


class Heard(list[Event]):
    """A listener that keeps what it hears."""

    def __call__(self, event: Event) -> None:
        """Hear one event."""
        self.append(event)


@pytest.fixture
def pictures() -> Pictures:
    """The maker of pictures."""
    return Pictures()


@pytest.fixture
def heard() -> Heard:
    """A listener."""
    return Heard()
