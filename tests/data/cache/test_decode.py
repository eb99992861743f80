from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from simpletuner.core.samples import SampleId
from simpletuner.data.cache.decode import first_read, known_content, naming, picture_pixels
from simpletuner.data.cache.keys import content_digest
from simpletuner.data.entries import Entry, PictureError
from simpletuner.data.files.digests import Digests
from simpletuner.data.places.crops import Crop
from simpletuner.data.places.geometry import Placement, Size
from simpletuner.data.sources.folder import FolderSource

ENTRY = Entry(SampleId("set", "a.png"), 32, 16, ("a",), Placement("1.0", Size(16, 16), Size(32, 16)), Crop(4, 0))


def test_the_window_of_a_picture(pictures: Any) -> None:
    image = pictures.gradient(32, 16)
    pixels = picture_pixels(ENTRY, pictures.encoded(image))
    expected = torch.tensor([image.getpixel((column, 3))[0] for column in range(4, 20)]) / 127.5 - 1
    assert pixels.shape == (3, 16, 16)
    assert torch.allclose(pixels[0, 3], expected)


def test_a_picture_of_another_size_is_refused(pictures: Any) -> None:
    with pytest.raises(PictureError, match="32x16 when the data set was scanned and is 20x32"):
        picture_pixels(ENTRY, pictures.encoded(pictures.gradient(20, 32)))


def test_a_size_of_before_the_exif_rotation_is_told_as_one(pictures: Any) -> None:
    image = pictures.gradient(32, 16)
    image.getexif()[0x112] = 6
    with pytest.raises(PictureError, match="width and height exchanged") as caught:
        picture_pixels(ENTRY, pictures.encoded(image, "JPEG", exif=image.getexif()))
    assert "after EXIF rotation" in str(caught.value.cure)


def test_a_fraction_of_the_size_is_that_of_a_large_jpeg_only(pictures: Any) -> None:
    small = pictures.gradient(16, 8)
    assert picture_pixels(ENTRY, pictures.encoded(small, "JPEG")).shape == (3, 16, 16)
    with pytest.raises(PictureError, match="32x16 when the data set was scanned and is 16x8"):
        picture_pixels(ENTRY, pictures.encoded(small))


def test_a_digest_is_found_once(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"one")
    source, digests = FolderSource.at(str(tmp_path)), Digests({})
    digest = content_digest(b"one")
    assert first_read(source, digests, "a.png") == (digest, b"one")
    (tmp_path / "a.png").write_bytes(b"two")
    assert first_read(source, digests, "a.png") == (digest, None)


def test_content_that_is_no_longer_the_known_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"one")
    source, digest = FolderSource.at(str(tmp_path)), content_digest(b"one")
    assert known_content(source, "a.png", digest) == b"one"
    (tmp_path / "a.png").write_bytes(b"two")
    with pytest.raises(PictureError, match="its bytes changed"):
        known_content(source, "a.png", digest)


def test_naming_says_which_file_it_is() -> None:
    with pytest.raises(PictureError) as caught, naming("set/a.png"):
        raise PictureError("is broken", cure="mend it")
    assert str(caught.value) == "set/a.png: is broken\n  cure: mend it"
