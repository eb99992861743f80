"""Measure the data road and write the figures as JSON: ``python -m benchmarks.data [--json FILE] [--only NAME...]``."""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.checking import checking
from benchmarks.filling import filling
from benchmarks.loader import loader
from benchmarks.million import million
from benchmarks.mixing import mixing
from benchmarks.setting import Setting
from benchmarks.start import start
from benchmarks.timing import Crowd, Figures, surroundings

_QUICK = Setting(Path(), sizes=(200,), rows=2_000, photos=40, encoded=8, rounds=1)
_log = logging.getLogger("benchmarks")


def _mixing(setting: Setting) -> Figures:
    return mixing(2 * setting.rounds - 1)


MEASUREMENTS: dict[str, Callable[[Setting], Figures]] = {
    "start": start,
    "million": million,
    "fill": filling,
    "loader": loader,
    "check": checking,
    "mixing": _mixing,
}


def measure(setting: Setting, names: Sequence[str]) -> Figures:
    """The figures of the measurements ``names``, and what each of them was taken on."""
    figures: Figures = {}
    for name in names:
        _log.info("%s ...", name)
        crowd, began = Crowd(), time.monotonic()
        made_on = surroundings()
        found = MEASUREMENTS[name](setting)
        figures[name] = {"made_on": {**made_on, "cores_that_others_kept_busy": round(crowd.cores(), 2)}, **found}
        _log.info("%s: %.0f s", name, time.monotonic() - began)
    return figures


def main(words: Sequence[str] | None = None) -> None:
    """Read the command line, measure, write, tidy up."""
    given = _parser().parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    made = Path(tempfile.mkdtemp(prefix="bench-", dir=given.work))
    try:
        figures = measure(_setting(given, made), given.only or list(MEASUREMENTS))
    finally:
        if given.keep:
            _log.info("kept %s", made)
        else:
            shutil.rmtree(made)
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(_text({**_read(given.json), **figures}), encoding="utf-8")
    else:
        sys.stdout.write(_text(figures))


def _read(file: Path) -> Figures:
    """What an earlier run wrote; what is measured now takes its place."""
    found: Figures = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return found


def _text(figures: Figures) -> str:
    return json.dumps({name: figures[name] for name in MEASUREMENTS if name in figures}, indent=2) + "\n"


def _setting(given: argparse.Namespace, made: Path) -> Setting:
    usual = _QUICK if given.quick else Setting(made)
    return Setting(
        work=made,
        sizes=given.sizes or usual.sizes,
        rows=given.rows or usual.rows,
        photos=given.photos or usual.photos,
        encoded=usual.encoded,
        rounds=given.rounds or usual.rounds,
        keep=given.keep,
    )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data", description=__doc__)
    add = parser.add_argument
    add("--json", type=Path, nargs="?", help="where to write the figures, among those there (the screen)")
    add("--only", nargs="+", choices=list(MEASUREMENTS), metavar="NAME", help=f"some of {', '.join(MEASUREMENTS)}")
    add("--sizes", type=_numbers, metavar="N,N,...", help="numbers of tiny pictures (1000,10000,100000)")
    add("--rows", type=int, help="rows of the synthetic index (1000000)")
    add("--photos", type=int, help="pictures of 512 px that are checked (10000)")
    add("--rounds", type=int, help="repetitions; medians are told (5)")
    add("--quick", action="store_true", help="everything once and small, to see that it works; no figure means much")
    add("--work", type=Path, help="a folder on the disk that is to be measured (the system's temporary one)")
    add("--keep", action="store_true", help="leave the generated files")
    return parser


if __name__ == "__main__":
    main()
