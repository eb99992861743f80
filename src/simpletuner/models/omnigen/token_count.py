"""The length of captions in OmniGen's tokens; no torch and no network, so that `check` can tell it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import try_to_load_from_cache
from tokenizers import Tokenizer

from simpletuner.core.errors import ConfigError
from simpletuner.models.facts import CountTokens
from simpletuner.models.omnigen.template import instruction

_FILE = "tokenizer/tokenizer.json"


def tokenizer_file(source: str | Path) -> Path | None:
    """The tokenizer of a folder in diffusers layout, or of a hub id in the local cache; None when not on disk."""
    inside = Path(source) / _FILE
    if inside.is_file():
        return inside
    try:
        cached = try_to_load_from_cache(str(source), _FILE)
    except ValueError:
        # A path is no hub id.
        return None
    return Path(cached) if isinstance(cached, str) else None


def count_tokens(source: str | Path) -> CountTokens | None:
    """A counter of captions' own tokens, without those of the instruction around them; None without a tokenizer.

    ``source`` is a folder in diffusers layout or a hub id. Raises ConfigError when the tokenizer's file is broken.
    """
    file = tokenizer_file(source)
    if file is None:
        return None
    tokenizer = _load(file)

    def count(captions: Sequence[str]) -> list[int]:
        around, *whole = tokenizer.encode_batch_fast([instruction(caption) for caption in ("", *captions)])
        return [max(0, len(ids) - len(around)) for ids in whole]

    return count


def _load(file: Path) -> Tokenizer:
    # Not Tokenizer.from_file: what it raises has no name.
    try:
        tokenizer = Tokenizer.from_buffer(file.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"is no tokenizer ({error})",
            file=file,
            key="pretrained_model_name_or_path",
            cure="the download is incomplete or the folder holds another model",
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
