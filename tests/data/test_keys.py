from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from simpletuner.data.crops import Crop
from simpletuner.data.geometry import Placement, Size
from simpletuner.data.keys import content_digest, latent_key, token_key

PLACEMENT = Placement("1.5", Size(96, 64), Size(97, 65))
TEXTS = st.text(max_size=12)


def test_each_input_of_a_latent_changes_its_key() -> None:
    keys = {
        latent_key("d", PLACEMENT, Crop(1, 1), "vae", "float32"),
        latent_key("e", PLACEMENT, Crop(1, 1), "vae", "float32"),
        latent_key("d", Placement("1.5", Size(64, 96), Size(97, 65)), Crop(1, 1), "vae", "float32"),
        latent_key("d", Placement("1.5", Size(96, 64), Size(98, 65)), Crop(1, 1), "vae", "float32"),
        latent_key("d", PLACEMENT, Crop(0, 1), "vae", "float32"),
        latent_key("d", PLACEMENT, Crop(1, 0), "vae", "float32"),
        latent_key("d", PLACEMENT, Crop(1, 1), "other vae", "float32"),
        latent_key("d", PLACEMENT, Crop(1, 1), "vae", "bfloat16"),
    }
    assert len(keys) == 8


def test_the_buckets_name_is_no_input() -> None:
    renamed = Placement("other", PLACEMENT.target, PLACEMENT.intermediary)
    assert latent_key("d", renamed, Crop(0, 0), "vae", "float32") == latent_key(
        "d", PLACEMENT, Crop(0, 0), "vae", "float32"
    )


def test_golden_key_of_version_one() -> None:
    """Caches on users' disks are found by these: a change here re-encodes every picture."""
    key = latent_key(content_digest(b"picture"), PLACEMENT, Crop(1, 0), "vae", "float32")
    assert key == "6c1434c00e1e8e588c22cb9008563d6267e0b1276e4bfe6f2124d05dec7cd41c"


@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_two_captions_share_a_key_only_if_they_are_equal(text: str, by: str, other: str, other_by: str) -> None:
    assert (token_key(text, by) == token_key(other, other_by)) is ((text, by) == (other, other_by))
