"""The picture folders under `build/tiny`: `python -m scripts.tiny.emoji`."""

from __future__ import annotations

import io
import logging
import re
from pathlib import Path
from types import MappingProxyType

import resvg_py
from PIL import Image

from .example_pictures import EXAMPLE_NAMES
from .files import (
    BUILD,
    FLAT,
    FLAT_SHOWN,
    FLAT_SHOWN_LIST,
    FLAT_SUFFIX,
    HELD_OUT_3D,
    HELD_OUT_LIST,
    TRAIN_3D,
    TRAINED_LIST,
    read_names,
    start_logging,
    write_bytes,
    write_json,
    write_names,
)
from .names import captions, is_flag, keywords, named_files
from .npm import FLUENT_3D, FLUENT_FLAT, unpacked

PICTURE_SIZE = 128
HELD_OUT_COUNT = 60

_STAMP = BUILD / "emoji.json"
_WHITE = (255, 255, 255, 255)
_FLAT_SKIN_TONE = re.compile(r"-(dark|light|medium)$")
_FLAT_SPELLINGS = MappingProxyType(
    {
        "blackbird": "black_bird",
        "keycap-hashtag": "keycap_hash",
        "knocked-out-face": "face_with_crossed-out_eyes",
        "hugging-face": "smiling_face_with_open_hands",
        "pouting-face": "enraged_face",
        "red-triangle": "red_triangle_pointed_up",
        "stuffedbread-flat": "stuffed_flatbread",
        "phoenix-bird": "phoenix",
    }
)


def on_white(picture: Image.Image) -> bytes:
    """Composite an RGBA picture on white at `PICTURE_SIZE` and encode it as an RGB PNG."""
    opaque = Image.alpha_composite(Image.new("RGBA", picture.size, _WHITE), picture.convert("RGBA")).convert("RGB")
    if opaque.size != (PICTURE_SIZE, PICTURE_SIZE):
        opaque = opaque.resize((PICTURE_SIZE, PICTURE_SIZE), Image.Resampling.LANCZOS)
    data = io.BytesIO()
    opaque.save(data, format="PNG")
    return data.getvalue()


def rasterised(svg: Path) -> Image.Image:
    """Draw an SVG at `PICTURE_SIZE`, transparent where nothing is drawn."""
    png = resvg_py.svg_to_bytes(svg_string=svg.read_text(encoding="utf-8"), width=PICTURE_SIZE, height=PICTURE_SIZE)
    return Image.open(io.BytesIO(bytes(png)))


def flat_drawings(folder: Path, wanted: set[str]) -> dict[str, Path]:
    """Map those `wanted` captions to SVG files that have a drawing; words there are joined by hyphens."""
    by_words = {name.replace("_", "-"): name for name in wanted}
    found: dict[str, Path] = {}
    for path in sorted(folder.glob("*.svg")):
        stem = path.stem.removesuffix("-default")
        name = by_words.get(_FLAT_SPELLINGS.get(stem, stem).replace("_", "-"))
        if name is not None and not _FLAT_SKIN_TONE.search(path.stem):
            found[name] = path
    return found


def held_out_names(available: set[str]) -> list[str]:
    """Pick every n-th name of Unicode's list, so that each category gives its share.

    Flags are left out because nobody can draw one unseen, and the example's names because the
    emoji-style example is judged on them.
    """
    known = captions()
    taken = set(EXAMPLE_NAMES)
    ordered = [known[points] for points in keywords() if points in known and not is_flag(points)]
    candidates = [name for name in ordered if name in available and name not in taken]
    step = len(candidates) / HELD_OUT_COUNT
    return [candidates[int((index + 0.5) * step)] for index in range(HELD_OUT_COUNT)]


def write_3d(pictures: dict[str, Path], held_out: set[str]) -> None:
    """Write every 3D picture into the training or the held-out folder."""
    for name, path in pictures.items():
        folder = HELD_OUT_3D if name in held_out else TRAIN_3D
        with Image.open(path) as picture:
            write_bytes(folder / f"{name}.png", on_white(picture))


def main() -> None:
    """Build all picture folders, or nothing where a former run finished."""
    start_logging()
    if _STAMP.is_file():
        logging.info("nothing to do: %s says that the pictures are there", _STAMP)
        return
    pictures = named_files(unpacked(FLUENT_3D) / "assets", "*.webp")
    held_out = held_out_names(set(pictures))
    write_names(HELD_OUT_LIST, held_out)
    write_names(TRAINED_LIST, sorted(set(pictures) - set(held_out)))
    write_3d(pictures, set(held_out))
    flat = flat_drawings(unpacked(FLUENT_FLAT) / "icons" / "flat", set(pictures))
    for name, path in flat.items():
        write_bytes(FLAT / f"{name}.png", on_white(rasterised(path)))
    shown = read_names(FLAT_SHOWN_LIST)
    for name in shown:
        write_bytes(FLAT_SHOWN / f"{name}{FLAT_SUFFIX}.png", (FLAT / f"{name}.png").read_bytes())
    counts = {"train": len(pictures) - len(held_out), "held_out": len(held_out), "flat": len(flat), "shown": len(shown)}
    write_json(_STAMP, {"sources": [FLUENT_3D.spec, FLUENT_FLAT.spec], **counts})
    logging.info("wrote %s", counts)


if __name__ == "__main__":
    main()
