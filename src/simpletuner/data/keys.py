"""Cache keys: a hash of everything that an entry depends on, so that an entry can never be stale."""

from __future__ import annotations

import hashlib
import json

from simpletuner.data.crops import Crop
from simpletuner.data.geometry import Placement

# Raised by hand whenever our own decoding, scaling or cropping changes its result (a golden test says so).
CODEC_VERSION = 1
TOKEN_VERSION = 1


def content_digest(content: bytes) -> str:
    """Hex SHA-256 of a picture file's bytes."""
    return hashlib.sha256(content).hexdigest()


def latent_key(digest: str, placement: Placement, crop: Crop, codec_fingerprint: str, dtype: str) -> str:
    """The key of one picture's latent.

    ``codec_fingerprint`` stands for the VAE, its revision, its scaling and the precision it runs at; ``dtype`` is that
    of the stored tensors. The bucket's name is not part of it: only the pixels are.
    """
    size, whole = placement.target, placement.intermediary
    geometry = [size.width, size.height, whole.width, whole.height, crop.left, crop.top]
    return _hash("latent", CODEC_VERSION, digest, geometry, codec_fingerprint, dtype)


def token_key(text: str, tokenizer_fingerprint: str) -> str:
    """The key of one caption's token ids."""
    return _hash("tokens", TOKEN_VERSION, text, tokenizer_fingerprint)


def _hash(*parts: object) -> str:
    # JSON keeps the borders between parts, so no two lists of parts can run together.
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
