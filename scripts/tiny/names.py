"""Which emoji there are: code points to a caption, in the order of Unicode's list."""

from __future__ import annotations

import json
import re
import unicodedata
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

import emoji

from .npm import EMOJI_KEYWORDS, unpacked

CodePoints = tuple[int, ...]

_VARIATION_SELECTOR = 0xFE0F
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_REGIONAL_INDICATORS = range(0x1F1E6, 0x1F200)
_SUBDIVISION_FLAG = (0x1F3F4, 0xE0067)
_CANCEL_TAG = 0xE007F
_SPELT_OUT = MappingProxyType({"&": "and", "#": "hash", "*": "asterisk"})


def code_points(text: str) -> CodePoints:
    """Return an emoji's code points without variation selectors, which data sources disagree about."""
    return tuple(ord(character) for character in text if ord(character) != _VARIATION_SELECTOR)


def code_points_of_file(stem: str) -> CodePoints:
    """Read a file stem such as `1f469-200d-1f3a8`; subdivision flags use `_` and omit their closing tag."""
    points = code_points("".join(chr(int(part, 16)) for part in re.split(r"[-_]", stem)))
    return (*points, _CANCEL_TAG) if points[:2] == _SUBDIVISION_FLAG and points[-1] != _CANCEL_TAG else points


def has_skin_tone(points: CodePoints) -> bool:
    """Tell the skin-tone variants, which would outnumber everything else."""
    return any(point in _SKIN_TONES for point in points)


def is_flag(points: CodePoints) -> bool:
    """Tell the flags of countries and subdivisions, whose Unicode names are bare place names."""
    return points[0] in _REGIONAL_INDICATORS or points[:2] == _SUBDIVISION_FLAG


def file_name(name: str) -> str:
    """Turn a Unicode name into lower-case ASCII words joined by underscores."""
    spelt = "".join(_SPELT_OUT.get(character, character) for character in name)
    plain = unicodedata.normalize("NFKD", spelt).encode("ascii", "ignore").decode("ascii").lower()
    return re.sub(r"_+", "_", re.sub(r"[^a-z0-9_-]", "", plain.replace(" ", "_"))).strip("_")


@lru_cache(maxsize=1)
def captions() -> MappingProxyType[CodePoints, str]:
    """Map every emoji without skin tone to its file name (`red_apple`, `flag_norway`)."""
    found: dict[CodePoints, str] = {}
    for text, entry in emoji.EMOJI_DATA.items():
        points = code_points(text)
        if not has_skin_tone(points):
            prefix = "flag_" if is_flag(points) else ""
            found[points] = prefix + file_name(entry["en"].strip(":"))
    return MappingProxyType(found)


@lru_cache(maxsize=1)
def keywords() -> MappingProxyType[CodePoints, tuple[str, ...]]:
    """Map emoji to English keywords; the order is Unicode's, which goes category by category."""
    path = unpacked(EMOJI_KEYWORDS) / "dist" / "emoji-en-US.json"
    table: dict[str, list[str]] = json.loads(path.read_text(encoding="utf-8"))
    return MappingProxyType({code_points(text): tuple(words) for text, words in table.items()})


def named_files(folder: Path, pattern: str) -> dict[str, Path]:
    """Map captions to the files of `folder` that are named by code points."""
    known = captions()
    points = {path: code_points_of_file(path.stem) for path in sorted(folder.glob(pattern))}
    return {known[key]: path for path, key in points.items() if key in known}
