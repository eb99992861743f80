"""A data set of a million pictures that exists only as an index: loading it, and planning an epoch of it.

Each part runs in a fresh process, so that its memory is its own: ``python -m benchmarks.million PART ROWS INDEX``.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.setting import Setting
from benchmarks.timing import ROOT, Figures, resident_megabytes
from simpletuner.data.captions.candidates import CaptionSpec
from simpletuner.data.files.changes import NO_CHANGES
from simpletuner.data.files.index import Known, open_index
from simpletuner.data.files.sift import ScannedDataset, ScanSpec, Sifting, named_captions
from simpletuner.data.files.table import PictureTable
from simpletuner.data.order.plan import PlannedDataset, plan_epoch
from simpletuner.data.places.arrange import ArrangeSpec, arrange
from simpletuner.data.places.geometry import GeometrySpec
from simpletuner.data.sources.base import Listing

_GEOMETRY = GeometrySpec(1024)
_IN_FOLDER = 1_000
_SIZES = 5_000
_BATCH = 4
_SEED = 42


def million(setting: Setting) -> Figures:
    """The index is written first; then each part is measured in processes of its own."""
    folder = setting.work / "million"
    index = folder / "index.sqlite"
    began = time.perf_counter()
    with open_index(index) as opened:
        opened.save(_rows(setting.rows))
    written = time.perf_counter() - began
    figures = {
        "rows": setting.rows,
        "index_written_seconds": written,
        "index_megabytes": index.stat().st_size / 1e6,
        "planning": _median([_fresh("planning", setting.rows, index) for _ in range(min(setting.rounds, 3))]),
        "from_index": _median([_fresh("from_index", setting.rows, index) for _ in range(min(setting.rounds, 3))]),
        "planning_traced": _fresh("planning_traced", setting.rows, index),
    }
    setting.tidy(folder)
    return figures


def _median(runs: list[Figures]) -> Figures:
    return {name: median(run[name] for run in runs) for name in runs[0]}


def _fresh(part: str, rows: int, index: Path) -> Figures:
    command = [sys.executable, "-m", "benchmarks.million", part, str(rows), str(index)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    found: Figures = json.loads(done.stdout)
    return found


def _path(number: int) -> str:
    return f"{number // _IN_FOLDER:05}/photograph_{number:08}.jpg"


def _sizes() -> list[tuple[int, int]]:
    """The sizes that pictures have; in a large data set most sizes occur many times."""
    draw = random.Random(_SEED)
    return [(draw.randint(800, 6_000), draw.randint(800, 6_000)) for _ in range(_SIZES)]


def _rows(count: int) -> Iterator[tuple[str, Known]]:
    sizes, draw = _sizes(), random.Random(_SEED)
    for number in range(count):
        width, height = sizes[number * 7 % _SIZES]
        version = (
            f"{100_000 + number}-{1_700_000_000_000_000_000 + number}-{1_700_000_000_000_000_000 + number}-{number}"
        )
        yield _path(number), Known(version, width, height, digest=f"{draw.getrandbits(256):064x}")


class _Parts:
    """What is measured, each step under its name."""

    def __init__(self, rows: int, index: Path) -> None:
        self._rows = rows
        self._index = index
        self._base = resident_megabytes()
        self.figures: Figures = {"imported_resident_mb": self._base}

    def planning(self) -> None:
        """From a table to the plan of an epoch; the table is made first, as numbers and names."""
        sizes = np.asarray(_sizes(), dtype=np.int32)[np.arange(self._rows) * 7 % _SIZES]
        paths = [_path(number) for number in range(self._rows)]
        captions = named_captions(paths, CaptionSpec())
        table = PictureTable("bench", paths, sizes[:, 0].copy(), sizes[:, 1].copy(), captions)
        self.figures["table_resident_mb"] = resident_megabytes()
        began = time.perf_counter()
        self._plan(table)
        self.figures["planning_seconds"] = time.perf_counter() - began
        self._end()

    def planning_traced(self) -> None:
        """The same under tracemalloc, which slows it: what arrangement and plan allocate, in Python and in numpy."""
        tracemalloc.start()
        self.planning()
        kept, peak = tracemalloc.get_traced_memory()
        self.figures = {"kept_mb_with_table": kept / 1e6, "peak_mb_with_table": peak / 1e6}

    def from_index(self) -> None:
        """From the index file to the plan, as a start does whose files are all unchanged; nothing is listed."""
        began = time.perf_counter()
        with open_index(self._index) as index:
            self.figures["open_seconds"] = time.perf_counter() - began
            with self._timed("load_seconds"):
                known = index.load()
        with self._timed("table_seconds"):
            table = self._sifted(known).table
        self._plan(table)
        self.figures["whole_seconds"] = time.perf_counter() - began
        self._end()

    def _sifted(self, known: Mapping[str, Known]) -> ScannedDataset:
        listing = Listing({path: row.version for path, row in known.items()}, {})
        spec = ScanSpec("bench", _GEOMETRY, CaptionSpec())
        return Sifting(spec, listing).sift("nowhere", known, NO_CHANGES)

    def _plan(self, table: PictureTable) -> None:
        with self._timed("arrange_seconds"):
            arranged = arrange(table, ArrangeSpec(_GEOMETRY), seed=_SEED, epoch=0)
        with self._timed("plan_epoch_seconds"):
            plan = plan_epoch([PlannedDataset("bench", arranged.buckets, 0, _BATCH)], _SEED, 0)
        assert sum(arranged.counts.values()) == self._rows
        with self._timed("read_1000_updates_seconds"):
            assert all(plan[number].uses for number in range(min(1_000, len(plan))))

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.figures[name] = time.perf_counter() - began

    def _end(self) -> None:
        self.figures["peak_resident_mb"] = resident_megabytes()
        self.figures["grown_resident_mb"] = resident_megabytes() - self._base


def main() -> None:
    """Measure one part and print its figures as JSON."""
    part, rows, index = sys.argv[1:]
    parts = _Parts(int(rows), Path(index))
    {"planning": parts.planning, "planning_traced": parts.planning_traced, "from_index": parts.from_index}[part]()
    sys.stdout.write(json.dumps(parts.figures))


if __name__ == "__main__":
    main()
