"""Why a cache entry is used, or is not, in words."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from simpletuner.data.cache.decode import first_read
from simpletuner.data.cache.latents import LatentStore
from simpletuner.data.cache.store import TensorStore
from simpletuner.data.entries import Entry
from simpletuner.data.files.digests import Digests
from simpletuner.data.sources.base import Source

Ingredients = Mapping[str, str]
"""As :func:`~simpletuner.data.cache.keys.latent_ingredients` gives them."""

_NAMES = {
    "content": "SHA-256 of the file",
    "target": "trained at",
    "intermediary": "scaled to",
    "crop": "crop",
    "codec": "VAE",
    "dtype": "stored as",
    "version": "version of the decoding",
}
_DIFFERENCES = {
    "content": "the file's bytes changed",
    "target": "it was trained at {0} and is trained at {1}",
    "intermediary": "it was scaled to {0} and is scaled to {1}",
    "crop": "the crop was {0} and is {1}",
    "codec": "it was made by another VAE, or by the same one at another precision, scaling or tiling",
    "dtype": "it was stored as {0} and is stored as {1}",
    "version": "it was decoded by version {0} of our code, which is {1} now",
}


def explain_picture(
    entry: Entry, source: Source, digests: Digests, store: TensorStore, codec_fingerprint: str
) -> list[str]:
    """The key of a picture's latent, what it is made of, and whether the cache has it. Changes nothing.

    Raises PictureError when the file has to be read and cannot be.
    """
    digest, _ = first_read(source, digests, entry.sample.path)
    latents = LatentStore(store, codec_fingerprint)
    key = latents.key(entry, digest)
    made_of = [f"  {_NAMES[name]}: {value}" for name, value in latents.ingredients(entry, digest).items()]
    return [str(entry.sample), f"  key: {key}", *made_of, f"  {_state(store, key)}"]


def _state(store: TensorStore, key: str) -> str:
    if not store.has(key):
        return f"not in the cache: {store.path(key)} is made when it is needed"
    if store.facts(key) is None:
        return f"damaged: {store.path(key)} is made again when it is needed"
    return f"in the cache, sound: {store.path(key)}"


def explain_entry(path: Path, expected: Mapping[str, Ingredients]) -> list[str]:
    """What a cache file is, which picture it was made for, and what differs now. Changes nothing.

    ``expected`` maps each sample of the configuration, as ``dataset/path``, to the ingredients of its latent now.
    """
    path = plain_path(path)
    if not path.is_file():
        return [f"{path}: there is no such file"]
    entry = next((place for place in (path, path.resolve()) if _is_entry(place)), None)
    if entry is None:
        return [f"{path}: no cache entry; it is never read and never removed"]
    facts = TensorStore(entry.parent.parent).facts(_key(entry))
    if facts is None:
        return [f"{path}: damaged, or no file of ours; it is removed and made again when it is needed"]
    return [f"{path}: {line}" for line in _uses(facts, expected)]


def plain_path(path: Path) -> Path:
    """``path`` from the root and without ``..``, by name alone where that is the same place.

    It is not where a link leads away before a ``..``: there it is what the links lead to.
    """
    plain, real = Path(os.path.normpath(path.absolute())), path.resolve()
    return plain if plain.resolve() == real else real


def _key(entry: Path) -> str:
    return entry.name.partition(".")[0]


def _is_entry(path: Path) -> bool:
    """Whether it lies where a store keeps an entry of its name."""
    return TensorStore(path.parent.parent).path(_key(path)) == path


def _uses(facts: Ingredients, expected: Mapping[str, Ingredients]) -> list[str]:
    if "sample" not in facts:
        return [f'the tokens of the caption "{facts["text"]}"'] if "text" in facts else ["an entry of unknown kind"]
    ingredients = {name: value for name, value in facts.items() if name in _DIFFERENCES}
    what = f'the mask "{facts["mask"]}" of' if "mask" in facts else "the latent of"
    made_for = f"{what} {facts['sample']}"
    now = expected.get(facts["sample"])
    if now is not None and not _differences(ingredients, now):
        # The configuration of the picture does not say what is in the file of its mask.
        return [f"{made_for}: used" + (", unless the mask file changed" if "mask" in facts else "")]
    twins = [sample for sample in sorted(expected) if expected[sample] == ingredients]
    if twins:
        return [f"{what} {sample}: used" for sample in twins]
    if now is None:
        return [f"{made_for}: no picture of this configuration uses it"]
    return [f"{made_for}: not used: {line}" for line in _differences(ingredients, now)]


def _differences(then: Ingredients, now: Ingredients) -> list[str]:
    return [_DIFFERENCES[name].format(then[name], now[name]) for name in then if then[name] != now[name]]
