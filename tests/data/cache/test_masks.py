from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from simpletuner.core.samples import SampleId
from simpletuner.data.cache.decode import picture_pixels
from simpletuner.data.cache.masks import MaskKind, MasksOnDemand, mask_weights
from simpletuner.data.cache.store import TensorStore
from simpletuner.data.entries import Entry, PictureError
from simpletuner.data.files.digests import Digests
from simpletuner.data.places.crops import Crop, plan_crop
from simpletuner.data.places.geometry import GeometrySpec, Placement, Size, place
from simpletuner.data.sources.folder import FolderSource

WHOLE = Placement("1.0", Size(32, 16), Size(32, 16))
ORIGIN = Crop(0, 0)


def png(pictures: Any, values: NDArray[np.uint8]) -> bytes:
    made: bytes = pictures.encoded(Image.fromarray(values))
    return made


def weights(pictures: Any, values: NDArray[np.uint8], **options: Any) -> torch.Tensor:
    """The weights of a mask of the size of its picture, untouched."""
    height, width = values.shape[:2]
    whole = Placement("", Size(width, height), Size(width, height))
    return mask_weights(png(pictures, values), whole, ORIGIN, Size(width, height), **options)


def test_a_weight_is_the_mean_of_its_cell(pictures: Any) -> None:
    values = np.random.default_rng(1).integers(0, 256, (16, 32), np.uint8)
    made = weights(pictures, values)
    expected = torch.nn.functional.avg_pool2d(torch.from_numpy(values)[None].double() / 255, 8)
    assert (made.shape, made.dtype) == ((1, 2, 4), torch.float32)
    assert torch.allclose(made.double(), expected)
    assert weights(pictures, values, cells=16).shape == (1, 1, 2)


def test_black_white_and_the_first_channel(pictures: Any) -> None:
    assert torch.equal(weights(pictures, np.zeros((16, 16), np.uint8)), torch.zeros(1, 2, 2))
    assert torch.equal(weights(pictures, np.full((16, 16), 255, np.uint8)), torch.ones(1, 2, 2))
    coloured = np.zeros((16, 16, 3), np.uint8)
    coloured[..., 1:] = 255
    assert torch.equal(weights(pictures, coloured), torch.zeros(1, 2, 2))
    coloured[:8, :8, 0] = 255
    assert torch.equal(weights(pictures, coloured), torch.tensor([[[1.0, 0.0], [0.0, 0.0]]]))


def test_a_segmentation_counts_anything_above_zero(pictures: Any) -> None:
    values = np.zeros((16, 32), np.uint8)
    values[3, 3] = 1
    values[8:, 16:24] = 90
    expected = torch.tensor([[[1.0, 0, 0, 0], [0, 0, 1, 0]]])
    assert torch.equal(weights(pictures, values, binary=True), expected)


def test_scaling_a_segmentation_leaves_no_trace_beside_it(pictures: Any) -> None:
    values = np.zeros((64, 64), np.uint8)
    values[:, :32] = 3
    for edge in (8, 16, 32, 48, 64):
        placement = Placement("1.0", Size(edge, edge), Size(edge, edge))
        made = mask_weights(png(pictures, values), placement, ORIGIN, Size(64, 64), cells=edge // 4, binary=True)
        assert torch.equal(made[0, 0], torch.tensor([1.0, 1.0, 0.0, 0.0])), edge


def test_a_thin_line_of_a_large_segmentation_counts(pictures: Any) -> None:
    values = np.zeros((128, 128), np.uint8)
    values[:, 9] = 1
    placement = Placement("1.0", Size(32, 32), Size(32, 32))
    made = mask_weights(png(pictures, values), placement, ORIGIN, Size(128, 128), binary=True)
    assert torch.equal(made[0, 0], torch.tensor([1.0, 0.0, 0.0, 0.0]))


EDGES = st.integers(40, 400)


@given(EDGES, EDGES, st.sampled_from([1, 2, 3]), st.booleans(), st.randoms(use_true_random=False))
def test_a_mask_has_the_window_of_its_picture_to_the_pixel(
    width: int,
    height: int,
    seed: int,
    crop: bool,
    draw: Any,
) -> None:
    """A mask that is the picture itself, thresholded, gives pixel by pixel what the picture gives."""
    values = np.kron(np.random.default_rng(seed).integers(0, 2, (height // 8 + 1, width // 8 + 1)), np.ones((8, 8)))
    image = Image.fromarray((values[:height, :width] * 255).astype(np.uint8)).convert("RGB")
    placement = place(width, height, GeometrySpec(64, alignment=16, crop=crop))
    window = plan_crop(placement, "random", draw.random())
    stream = encoded(image)
    entry = Entry(SampleId("set", "a.png"), width, height, ("a",), placement, window)
    pixels = picture_pixels(entry, stream)[:1]
    each_pixel = mask_weights(stream, placement, window, Size(width, height), cells=1)
    assert torch.equal((each_pixel * 255).round(), ((pixels + 1) * 127.5).round())


def encoded(image: Image.Image) -> bytes:
    stream = BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def test_a_mask_of_another_size_and_the_same_shape_fits(pictures: Any) -> None:
    values = np.zeros((16, 32), np.uint8)
    values[:, :16] = 255
    expected = mask_weights(png(pictures, values), WHOLE, ORIGIN, Size(32, 16))
    for factor in (2, 3):
        larger = png(pictures, np.kron(values, np.ones((factor, factor), np.uint8)))
        made = mask_weights(larger, WHOLE, ORIGIN, Size(32, 16))
        assert torch.allclose(made, expected, atol=0.02)
    nearly = png(pictures, np.zeros((160, 321), np.uint8))
    assert mask_weights(nearly, WHOLE, ORIGIN, Size(320, 160)).shape == (1, 2, 4)


@pytest.mark.parametrize("shape", [(32, 16), (16, 33), (17, 32)])
def test_a_mask_of_another_shape_is_refused_with_both_sizes(pictures: Any, shape: tuple[int, int]) -> None:
    with pytest.raises(PictureError, match=rf"the mask is {shape[1]}x{shape[0]} and its picture 32x16") as caught:
        mask_weights(png(pictures, np.zeros(shape, np.uint8)), WHOLE, ORIGIN, Size(32, 16))
    assert caught.value.cure


class Room:
    """A folder of masks and a cache."""

    def __init__(self, folder: Path, pictures: Any) -> None:
        self.folder = folder / "masks"
        self.folder.mkdir()
        self.store = TensorStore(folder / "cache")
        self.digests = Digests({})
        self.pictures = pictures
        self.paint(0)
        self.entry = Entry(SampleId("set", "a.jpg"), 32, 16, ("a",), WHOLE, ORIGIN)

    def paint(self, value: int) -> None:
        (self.folder / "a.png").write_bytes(png(self.pictures, np.full((16, 32), value, np.uint8)))

    def masks(self, **kind: Any) -> MasksOnDemand:
        source = FolderSource.at(str(self.folder))
        return MasksOnDemand(source, self.digests, self.store, {"a.jpg": "a.png"}, MaskKind(**kind))


@pytest.fixture
def room(tmp_path: Path, pictures: Any) -> Room:
    return Room(tmp_path, pictures)


def test_a_mask_is_kept(room: Room) -> None:
    made = room.masks()(room.entry)
    assert torch.equal(made, torch.zeros(1, 2, 4))
    (room.folder / "a.png").unlink()
    assert torch.equal(room.masks()(room.entry), made)
    (key,) = room.store.keys()
    assert (room.store.facts(key) or {})["mask"] == "a.png"
    assert room.digests.learned.keys() == {"a.png"}


@pytest.mark.parametrize(
    "change",
    [
        lambda room: (room.paint(1), setattr(room, "digests", Digests({}))),
        lambda room: setattr(room, "entry", Entry(room.entry.sample, 32, 16, ("a",), WHOLE, Crop(1, 0))),
        lambda room: setattr(
            room, "entry", Entry(room.entry.sample, 32, 16, ("a",), Placement("", Size(16, 16), Size(32, 16)), ORIGIN)
        ),
    ],
)
def test_another_mask_or_window_is_another_entry(room: Room, change: Callable[[Room], object]) -> None:
    room.masks()(room.entry)
    change(room)
    room.masks()(room.entry)
    assert len(room.store.keys()) == 2
    room.masks(binary=True)(room.entry)
    assert len(room.store.keys()) == 3


def test_a_damaged_mask_is_made_again_to_the_same_bytes(room: Room) -> None:
    room.masks()(room.entry)
    (key,) = room.store.keys()
    whole = room.store.path(key).read_bytes()
    for place_of in range(0, len(whole), 7):
        room.store.path(key).write_bytes(whole[:place_of])
        room.masks()(room.entry)
        assert room.store.path(key).read_bytes() == whole


def test_without_keeping_nothing_is_written(room: Room) -> None:
    room.masks(keep=False)(room.entry)
    assert not room.store.folder.exists()


def test_a_mask_that_changes_during_the_run_does_not_change_the_run(room: Room) -> None:
    masks = room.masks()
    masks(room.entry)
    room.paint(255)
    assert torch.equal(masks(room.entry), torch.zeros(1, 2, 4))
    (key,) = room.store.keys()
    room.store.remove(key)
    with pytest.raises(PictureError, match=r"a\.png: its bytes changed"):
        masks(room.entry)
    assert room.store.keys() == frozenset()


def test_a_broken_mask_is_named(room: Room) -> None:
    (room.folder / "a.png").write_bytes(b"")
    with pytest.raises(PictureError, match=r"a\.png: the file is empty"):
        room.masks()(room.entry)
