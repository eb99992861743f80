"""Measure the data road and write the figures as JSON: ``python -m benchmarks.data [--json FILE] [--only NAME...]``."""

from __future__ import annotations

import argparse
import logging
import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks.checking import checking
from benchmarks.filling import filling
from benchmarks.loader import loader
from benchmarks.million import million
from benchmarks.mixing import mixing
from benchmarks.report import a_parser, log_to_screen, measure_all
from benchmarks.setting import Setting
from benchmarks.start import start
from benchmarks.timing import Figures

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


def main(words: Sequence[str] | None = None) -> None:
    """Read the command line, measure, write, tidy up."""
    given = _parser().parse_args(words)
    log_to_screen()
    made = Path(tempfile.mkdtemp(prefix="bench-", dir=given.work))
    setting = _setting(given, made)
    try:
        measure_all({name: partial(MEASUREMENTS[name], setting) for name in given.only or MEASUREMENTS}, given.json)
    finally:
        if given.keep:
            _log.info("kept %s", made)
        else:
            shutil.rmtree(made)


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
    parser = a_parser("data", __doc__)
    add = parser.add_argument
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
