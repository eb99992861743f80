"""Measuring by name: figures as JSON, on the screen or in a file, and beside each what it was taken on."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from benchmarks.timing import Crowd, Figures, surroundings
from simpletuner.core.files import write_text

_log = logging.getLogger("benchmarks")


def measure_all(works: Mapping[str, Callable[[], Figures]], file: Path | None, **made_on: object) -> None:
    """Do ``works`` in turn and tell their figures by name, each with what it was ``made_on``.

    Each goes into ``file`` as soon as it is there: a name of an earlier run is replaced as a whole, all others stay as
    they are. Without a file all go to the screen at the end.
    """
    figures: Figures = {}
    for name, work in works.items():
        _log.info("%s ...", name)
        began = time.monotonic()
        figures[name] = _taken(work, made_on)
        _log.info("%s: %.0f s", name, time.monotonic() - began)
        if file is not None:
            _join(file, {name: figures[name]})
    if file is None:
        sys.stdout.write(_text(figures))


def _taken(work: Callable[[], Figures], made_on: Mapping[str, object]) -> Figures:
    """``surroundings`` are asked before the work, how busy other programs were after it."""
    crowd, before = Crowd(), surroundings()
    found = work()
    busy = {"cores_that_others_kept_busy": round(crowd.cores(), 2)}
    return {"made_on": {**before, **busy, **made_on}, **found}


def _join(file: Path, figures: Figures) -> None:
    there: Figures = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, _text({**there, **figures}))


def _text(figures: Figures) -> str:
    return json.dumps(figures, indent=2) + "\n"


def card(device: torch.device) -> Figures:
    """The name of the card, where ``device`` is one: for ``made_on``, whose own device is the processor."""
    return {"card": torch.cuda.get_device_name(device)} if device.type == "cuda" else {}


def a_parser(module: str, about: str | None) -> argparse.ArgumentParser:
    """The command line of ``python -m benchmarks.module``, with what all of them take."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{module}", description=about)
    told = "where to write the figures, among those there (the screen)"
    parser.add_argument("--json", type=Path, nargs="?", help=told)
    return parser


def log_to_screen() -> None:
    """Progress goes to standard error, so that figures on the screen can be piped."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
