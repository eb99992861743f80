"""docs/scale.md tells what the file of results holds."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    (named,) = set(re.findall(r"\.\./(benchmarks/results/data-[\w-]+\.json)", PAGE))
    found: dict[str, Any] = json.loads((ROOT / named).read_text(encoding="utf-8"))
    return found


def row(first: str, *more: str) -> list[str]:
    """The cells of the row that begins with these, after them."""
    rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("|"))
    (found,) = (cells for cells in rows if cells[: 1 + len(more)] == [first, *more])
    return found[1 + len(more) :]


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("1,000", "1000"),
        ("10,000", "10000"),
        ("100,000", "100000"),
        ("100,000 with a `.txt` each", "100000_texts"),
    ],
)
def test_starts(results: dict[str, Any], label: str, name: str) -> None:
    figures = results["start"][name]
    cold, warm, there, opened = row(label)
    keys = ("cold_scan_seconds", "warm_start_seconds", "latents_there_seconds")
    assert [cold.partition(" s")[0], warm.removesuffix(" s"), there.removesuffix(" s")] == [
        f"{figures[key]:.2g}" for key in keys
    ]
    assert int(opened) == figures["warm_start_files_opened"] == 0


def test_a_million(results: dict[str, Any]) -> None:
    planning, index = results["million"]["planning"], results["million"]["from_index"]
    assert row("the whole process") == [
        f"{planning['planning_seconds']:.1f} s",
        f"{planning['peak_resident_mb']:.0f} MB",
    ]
    assert planning["planning_seconds"] < 3
    assert planning["peak_resident_mb"] < 600
    (told,) = re.findall(r"from the index file of a million rows \((\d+) MB\) instead", PAGE)
    assert told == f"{results['million']['index_megabytes']:.0f}"
    assert row(f"from the index file of a million rows ({told} MB) instead") == [
        f"{index['whole_seconds']:.1f} s",
        f"{index['peak_resident_mb']:.0f} MB",
    ]


@pytest.mark.parametrize(
    ("label", "batch", "name"),
    [
        ("512 px (from 768)", "4", "512_of_768_by_4"),
        ("256 px (from 512)", "4", "256_of_512_by_4"),
        ("256 px (from 320)", "4", "256_of_320_by_4"),
        ("64 px (from 80)", "16", "64_of_80_by_16"),
        ("64 px (from 80)", "4", "64_of_80_by_4"),
    ],
)
def test_fillings(results: dict[str, Any], label: str, batch: str, name: str) -> None:
    for told, part in zip(row(label, batch), ("fill_two_threads", "fill"), strict=True):
        figures = results[part].get(name)
        assert told == (f"{figures['fill_to_raw_encode']:.2f}" if figures else "")
    assert results["fill_two_threads"][name]["fill_to_raw_encode"] >= 0.9


def test_batches(results: dict[str, Any]) -> None:
    shares = [results["loader"][f"64px_batch_{size}"]["loader_share_of_step"] for size in (24, 4, 1)]
    first, *others = (f"{share:.1%}".replace("%", " %") for share in shares)
    for told in (f"{first} of a step of the tiny model at 64 px and batch 24", *others):
        assert told in " ".join(PAGE.split())
    assert max(shares) < 0.02
    for label, name in (
        ("four shapes of one area", "one_area"),
        ("one short edge, four lengths", "one_short_edge"),
        ("four resolutions, 64 to 192 px", "four_resolutions"),
    ):
        figures = results["mixing"][name]
        told = [figures["padded_image_tokens_to_real"], figures["mixed_to_bucketed"]]
        assert row(label) == [f"{number:.2f} times" for number in told]


def test_checks(results: dict[str, Any]) -> None:
    figures = results["check"]
    assert row("first time") == [f"{figures['cold_seconds']:.1f} s"]
    assert row("again") == [f"{figures['warm_seconds']:.1f} s"]
    assert f"`--deep` decodes at {figures['deep_decoding_to_raw_decode']:.2f} of the raw rate" in PAGE
    assert f"counted in it is {figures['deep_to_raw_decode']:.2f}" in PAGE
