"""Cache keys: a hash of everything that an entry depends on, so that an entry can never be stale."""

from __future__ import annotations

import hashlib
import json

from simpletuner.data.places.crops import Crop
from simpletuner.data.places.geometry import Placement

# Raised by hand whenever our own decoding, scaling or cropping changes its result (a golden test says so).
CODEC_VERSION = 1
TOKEN_VERSION = 1
MASK_VERSION = 1

LATENT_DTYPE = "float32"
"""That of the stored tensors."""


def content_digest(content: bytes) -> str:
    """Hex SHA-256 of a picture file's bytes."""
    return hashlib.sha256(content).hexdigest()


def latent_key(digest: str, placement: Placement, crop: Crop, codec_fingerprint: str, dtype: str) -> str:
    """The key of one picture's latent: a hash of what :func:`latent_ingredients` lists.

    The bucket's name is not part of it: only the pixels are.
    """
    # What json.dumps gives of the list of these parts, in a third of its time: a start makes 100,000 keys.
    text = (
        f'["latent", {CODEC_VERSION}, {json.dumps(digest)}, {_geometry(placement, crop)}, '
        f"{json.dumps(codec_fingerprint)}, {json.dumps(dtype)}]"
    )
    return hashlib.sha256(text.encode()).hexdigest()


def latent_ingredients(
    digest: str, placement: Placement, crop: Crop, codec_fingerprint: str, dtype: str
) -> dict[str, str]:
    """Everything that a latent depends on, by name and as text.

    ``digest`` is that of the picture file's bytes. ``codec_fingerprint`` stands for the VAE: its weights (so its id and
    revision too), its configuration with the scaling factor, and the precision it runs at. ``dtype`` is that of the
    stored tensors.
    """
    return {
        "content": digest,
        **window_ingredients(placement, crop),
        "codec": codec_fingerprint,
        "dtype": dtype,
        "version": str(CODEC_VERSION),
    }


def window_ingredients(placement: Placement, crop: Crop) -> dict[str, str]:
    """The window that a picture or its mask is trained at, by name and as text."""
    return {
        "target": str(placement.target),
        "intermediary": str(placement.intermediary),
        "crop": f"{crop.left},{crop.top}",
    }


def mask_key(digest: str, placement: Placement, crop: Crop, cells: int, *, binary: bool) -> str:
    """The key of one mask as weights of latent cells of ``cells`` pixels; ``digest`` is that of the mask file."""
    return _hash("mask", MASK_VERSION, digest, _geometry(placement, crop), cells, binary)


def token_key(text: str, tokenizer_fingerprint: str, pictures: int = 0) -> str:
    """The key of the token ids of one caption in which ``pictures`` input pictures stand."""
    among = (pictures,) if pictures else ()
    return _hash("tokens", TOKEN_VERSION, text, tokenizer_fingerprint, *among)


def _geometry(placement: Placement, crop: Crop) -> list[int]:
    size, whole = placement.target, placement.intermediary
    return [size.width, size.height, whole.width, whole.height, crop.left, crop.top]


def _hash(*parts: object) -> str:
    # JSON keeps the borders between parts, so no two lists of parts can run together.
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
