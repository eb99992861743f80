"""`simpletuner check` as a user types it, in fresh processes, and `--deep` against decoding alone."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image

from benchmarks.setting import Setting
from benchmarks.timing import ROOT, Figures, alternated, in_threads, ratio, repeated, seconds_of
from benchmarks.trees import photos, write_run
from simpletuner.config.load import LoadedRun

_EDGE = 512
_FINE = (0,)


def checking(setting: Setting) -> Figures:
    """Pictures of 512 px with a text file each."""
    folder = setting.work / "check"
    photos(folder / "pictures", setting.photos, _EDGE, texts=True)
    keys = {"resolution": _EDGE, "caption_strategy": "textfile"}
    loaded = write_run(folder / "run", folder / "pictures", keys)
    threads = os.cpu_count() or 1
    files = sorted((folder / "pictures").glob("*.jpg"))
    cold = [seconds_of(lambda: _cold_check(loaded)) for _ in range(min(setting.rounds, 3))]
    warm = repeated(lambda: _check(loaded), min(setting.rounds, 3))
    works = {"raw": lambda: in_threads(_decode, files, threads), "deep": lambda: _check(loaded, "--deep")}
    taken = alternated(works, min(setting.rounds, 3))
    bare = repeated(lambda: _run("--version"), min(setting.rounds, 3))
    figures = {
        "pictures": setting.photos,
        "megabytes": sum(path.stat().st_size for path in files) / 1e6,
        "threads": threads,
        "cold_seconds": sorted(cold)[len(cold) // 2],
        "warm_seconds": warm.median,
        "command_alone_seconds": bare.median,
        **taken["deep"].figures("deep_seconds"),
        **taken["raw"].figures("raw_decode_seconds"),
        "raw_decode_pictures_per_second": setting.photos / taken["raw"].median,
        "deep_pictures_per_second": setting.photos / taken["deep"].median,
        "deep_to_raw_decode": ratio(taken["raw"], taken["deep"]),
        # Without what the command does before it decodes: starting, and the check that is not deep.
        "deep_decoding_to_raw_decode": taken["raw"].median / (taken["deep"].median - warm.median),
    }
    setting.tidy(folder)
    return figures


def _decode(path: Path) -> None:
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        image.convert("RGB")


def _cold_check(loaded: LoadedRun) -> None:
    shutil.rmtree(loaded.datasets[0].cache_dir_vae, ignore_errors=True)
    _check(loaded)


def _check(loaded: LoadedRun, *words: str) -> None:
    _run("check", "--config", str(loaded.config_file), *words)


def _run(*words: str) -> None:
    """The command in a process of its own, with every library that it wants to import. Raises RuntimeError."""
    command = [sys.executable, "-m", "simpletuner", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode not in _FINE:
        raise RuntimeError(f"simpletuner {' '.join(words)} gave {done.returncode}: {done.stderr[-2_000:]}")
