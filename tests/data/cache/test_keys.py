from __future__ import annotations

import hashlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpletuner.data.cache import keys
from simpletuner.data.cache.keys import (
    content_digest,
    latent_ingredients,
    latent_key,
    mask_key,
    token_key,
    window_ingredients,
)
from simpletuner.data.places.crops import Crop
from simpletuner.data.places.geometry import Placement, Size

PLACEMENT = Placement("1.5", Size(96, 64), Size(97, 65))
TEXTS = st.text(max_size=12)
SIZES = st.builds(Size, st.integers(1, 9), st.integers(1, 9))
PLACEMENTS = st.builds(Placement, st.just(""), SIZES, SIZES)
CROPS = st.builds(Crop, st.integers(0, 9), st.integers(0, 9))
INPUTS = st.tuples(TEXTS, PLACEMENTS, CROPS, TEXTS, TEXTS)


def test_each_input_of_a_latent_changes_its_key() -> None:
    made = {
        latent_key("d", PLACEMENT, Crop(1, 1), "vae", "float32"),
        latent_key("e", PLACEMENT, Crop(1, 1), "vae", "float32"),
        latent_key("d", Placement("1.5", Size(64, 96), Size(97, 65)), Crop(1, 1), "vae", "float32"),
        latent_key("d", Placement("1.5", Size(96, 64), Size(98, 65)), Crop(1, 1), "vae", "float32"),
        latent_key("d", PLACEMENT, Crop(0, 1), "vae", "float32"),
        latent_key("d", PLACEMENT, Crop(1, 0), "vae", "float32"),
        latent_key("d", PLACEMENT, Crop(1, 1), "other vae", "float32"),
        latent_key("d", PLACEMENT, Crop(1, 1), "vae", "bfloat16"),
    }
    assert len(made) == 8


@given(INPUTS, INPUTS)
def test_two_latents_share_a_key_only_if_all_ingredients_are_equal(one: tuple, other: tuple) -> None:  # type: ignore[type-arg]
    assert (latent_key(*one) == latent_key(*other)) is (latent_ingredients(*one) == latent_ingredients(*other))


@given(INPUTS)
def test_a_latents_key_is_the_hash_of_json(inputs: tuple) -> None:  # type: ignore[type-arg]
    digest, placement, crop, codec, dtype = inputs
    size, whole = placement.target, placement.intermediary
    geometry = [size.width, size.height, whole.width, whole.height, crop.left, crop.top]
    listed = json.dumps(["latent", keys.CODEC_VERSION, digest, geometry, codec, dtype])
    assert latent_key(*inputs) == hashlib.sha256(listed.encode()).hexdigest()


def test_the_buckets_name_is_no_input() -> None:
    renamed = Placement("other", PLACEMENT.target, PLACEMENT.intermediary)
    assert latent_key("d", renamed, Crop(0, 0), "vae", "float32") == latent_key(
        "d", PLACEMENT, Crop(0, 0), "vae", "float32"
    )


def test_golden_key_of_version_one() -> None:
    """Caches on users' disks are found by these: a change here re-encodes every picture."""
    key = latent_key(content_digest(b"picture"), PLACEMENT, Crop(1, 0), "vae", "float32")
    assert key == "6c1434c00e1e8e588c22cb9008563d6267e0b1276e4bfe6f2124d05dec7cd41c"


def test_the_versions_are_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    def made() -> list[str]:
        return [
            latent_key("d", PLACEMENT, Crop(0, 0), "vae", "float32"),
            mask_key("d", PLACEMENT, Crop(0, 0), 8, binary=False),
            token_key("a cat", "words"),
        ]

    before = made()
    for place, name in enumerate(("CODEC_VERSION", "MASK_VERSION", "TOKEN_VERSION")):
        with monkeypatch.context() as patch:
            patch.setattr(keys, name, 2)
            assert [key != old for key, old in zip(made(), before, strict=True)] == [place == at for at in range(3)]


def test_ingredients_are_readable() -> None:
    made = latent_ingredients("d", PLACEMENT, Crop(10, 0), "vae", "float32")
    assert made == {
        "content": "d",
        "target": "96x64",
        "intermediary": "97x65",
        "crop": "10,0",
        "codec": "vae",
        "dtype": "float32",
        "version": "1",
    }
    assert window_ingredients(PLACEMENT, Crop(10, 0)).items() < made.items()


def test_each_input_of_a_mask_changes_its_key() -> None:
    made = {
        latent_key("d", PLACEMENT, Crop(0, 0), "vae", "float32"),
        mask_key("d", PLACEMENT, Crop(0, 0), 8, binary=False),
        mask_key("e", PLACEMENT, Crop(0, 0), 8, binary=False),
        mask_key("d", PLACEMENT, Crop(0, 1), 8, binary=False),
        mask_key("d", Placement("1.5", Size(64, 96), Size(97, 65)), Crop(0, 0), 8, binary=False),
        mask_key("d", PLACEMENT, Crop(0, 0), 16, binary=False),
        mask_key("d", PLACEMENT, Crop(0, 0), 8, binary=True),
    }
    assert len(made) == 7


def test_a_start_can_afford_a_key_a_picture() -> None:
    start = time.perf_counter()
    for left in range(10_000):
        latent_key("d" * 64, PLACEMENT, Crop(left, 0), "vae", "float32")
    # Twelve times what it takes, since the machine is shared.
    assert time.perf_counter() - start < 0.25


@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_two_captions_share_a_key_only_if_they_are_equal(text: str, by: str, other: str, other_by: str) -> None:
    assert (token_key(text, by) == token_key(other, other_by)) is ((text, by) == (other, other_by))
