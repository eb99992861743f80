"""Where the makers read and write, and how a file is put in place whole or not at all."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "tiny"
TINY_MODEL = ROOT / "src" / "simpletuner" / "models" / "omnigen" / "tiny"
EXAMPLES = ROOT / "src" / "simpletuner" / "examples"
EXAMPLE_PICTURES = EXAMPLES / "emoji-style" / "images"
SUBJECT_EXAMPLE = EXAMPLES / "emoji-subject"

TRAIN_3D = BUILD / "emoji-3d" / "train"
HELD_OUT_3D = BUILD / "emoji-3d" / "held-out"
FLAT = BUILD / "emoji-flat"
FLAT_SHOWN = BUILD / "emoji-flat-shown"
"""The flat drawings that the transformer is trained on, listed in ``FLAT_SHOWN_LIST``: some four fifths of them."""

FLAT_SUFFIX = "_flat_drawing"
"""Behind the name, not before it: text is causal, so the tokens of a name stay what they are for the 3D picture."""

HELD_OUT_LIST = Path(__file__).with_name("held_out.txt")
TRAINED_LIST = Path(__file__).with_name("trained.txt")
FLAT_SHOWN_LIST = Path(__file__).with_name("flat_shown.txt")
STYLE_PROMPTS = Path(__file__).with_name("style_prompts.txt")


def write_bytes(path: Path, data: bytes) -> None:
    """Write beside the target and rename, so that an interruption never leaves half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_bytes(data)
    unfinished.replace(path)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text the way `write_bytes` does."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Mapping[str, object]) -> None:
    """Write indented JSON the way `write_bytes` does."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> dict[str, object]:
    """Read a JSON object."""
    value: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return value


def start_logging() -> None:
    """Send progress to the terminal with the time of day, for long runs under nohup."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")


def read_names(path: Path) -> list[str]:
    """Read a list of names, one a line."""
    return path.read_text(encoding="utf-8").split()


def write_names(path: Path, names: Iterable[str]) -> None:
    """Write a list of names, one a line."""
    write_text(path, "".join(f"{name}\n" for name in names))
