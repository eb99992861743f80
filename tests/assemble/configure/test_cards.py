from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from simpletuner.assemble.configure.cards import (
    CARDS,
    OWN_NEED,
    Machine,
    card_of,
    counted,
    detect,
    most_pictures,
    read_amd,
    read_cards,
    usual_batch,
)

PAGE = Path(__file__).parents[3] / "docs" / "memory-and-speed.md"
ROW = re.compile(r"^\| (512|1024) px, (\d) \| \**([\d.]+)\** \| \**([\d.]+)\** \| \**([\d.]+)\** \|", re.MULTILINE)


def test_the_count_is_that_of_the_page() -> None:
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))
    assert len(rows) == 8
    for edge, batch, *figures in rows:
        for precision, figure in zip(("no_change", "int8-quanto", "nf4-bnb"), figures, strict=True):
            assert counted(precision, int(edge), int(batch)) == pytest.approx(float(figure), abs=0.16), (edge, batch)


@pytest.mark.parametrize("name", [name for name, card in CARDS.items() if card.gigabytes and not card.swapped_blocks])
@pytest.mark.parametrize("edge", [512, 1024])
def test_the_usual_batch_fits_the_card(name: str, edge: int) -> None:
    card = CARDS[name]
    batch = usual_batch(card, edge)
    assert counted(card.precision, edge, batch) + OWN_NEED <= card.gigabytes
    assert batch <= most_pictures(card, edge) <= 6


def test_what_the_page_says_of_each_card() -> None:
    page = PAGE.read_text(encoding="utf-8")
    most = {name: most_pictures(CARDS[name], 1024) for name in ("8", "10", "12", "16", "24")}
    assert most == {"8": 1, "10": 3, "12": 2, "16": 4, "24": 6}
    for line in ("8 GB | `int8-quanto`, batch 1", "10 GB | `int8-quanto`, batch 2", "12 GB | bf16, batch 1"):
        assert line in page
    assert [usual_batch(CARDS[name], 1024) for name in most] == [1, 2, 1, 2, 3]


@pytest.mark.parametrize(
    ("gigabytes", "name"),
    [(5.9, "6"), (8, "8"), (11, "10"), (12, "12"), (15, "16"), (22.5, "24"), (40, "24"), (80, "48")],
)
def test_the_class_of_a_card(gigabytes: float, name: str) -> None:
    assert card_of(gigabytes) == name


def test_the_smallest_of_several_cards_decides() -> None:
    lines = ["NVIDIA GeForce RTX 4090, 24564", "NVIDIA GeForce RTX 3060, 12288", "no line"]
    assert read_cards(lines) == Machine(("NVIDIA GeForce RTX 4090", "NVIDIA GeForce RTX 3060"), "12")
    assert read_cards(["No devices were found"]) == Machine()


@pytest.mark.parametrize(
    ("script", "kind"),
    [("echo 'Some Card, 16376'", "16"), ("echo failed >&2; exit 9", ""), ("echo '[N/A]'", "")],
)
def test_the_driver_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, kind: str) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert detect().kind == kind


def test_cards_of_amd(tmp_path: Path) -> None:
    assert read_amd(tmp_path) == Machine()
    for name, size in (("card0", 512 << 20), ("card1", 16 << 30), ("card2", 24 << 30)):
        file = tmp_path / name / "device" / "mem_info_vram_total"
        file.parent.mkdir(parents=True)
        file.write_text(f"{size}\n")
    assert read_amd(tmp_path) == Machine(("AMD, 16 GB", "AMD, 24 GB"), "16")


def test_a_recipe_that_quantises_does_so_in_host_memory() -> None:
    assert CARDS["8"].recipe["quantize_via"] == "cpu"
    assert "quantize_via" not in CARDS["24"].recipe
    assert CARDS["6"].recipe["musubi_blocks_to_swap"] == 16
    assert CARDS["cpu"].recipe["mixed_precision"] == "no"


def test_without_a_card_it_is_the_tiny_model() -> None:
    assert CARDS["cpu"].recipe["model_flavour"] == "tiny"
    assert not any("model_flavour" in card.recipe for name, card in CARDS.items() if name != "cpu")


def test_the_page_says_what_each_card_decides() -> None:
    page = (PAGE.parent / "configure.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| (\d) \| (\d) \|", page, re.MULTILINE)
    assert [row[0] for row in rows] == list(CARDS)
    for name, precision, large, small in rows:
        card = CARDS[name]
        assert (int(large), int(small)) == (usual_batch(card, 1024), usual_batch(card, 512)), name
        assert ("int8-quanto" in precision) == (card.precision == "int8-quanto")
