"""More than a hundred bad files beside a few good ones: each is named with its reason, and the good ones never know."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from simpletuner.core.batch import Latents
from simpletuner.data.cache.crew import FillSettings
from simpletuner.data.cache.fill import LatentCache, fill_latents
from simpletuner.data.cache.store import TensorStore
from simpletuner.data.captions.candidates import CaptionSpec
from simpletuner.data.entries import Dropped
from simpletuner.data.files.digests import Digests
from simpletuner.data.files.index import open_index
from simpletuner.data.files.scan import ScannedDataset, ScanSpec, scan
from simpletuner.data.places.arrange import ArrangeSpec, arrange
from simpletuner.data.places.geometry import GeometrySpec
from simpletuner.data.sources.folder import FolderSource
from tests.data.bad_corpus import Case, corpus, encoded, photo
from tests.runs.conftest import Train

GEOMETRY = GeometrySpec(64, alignment=16, minimum=48)
ADAPTER = "pytorch_lora_weights.safetensors"


class Pooling:
    """A real small codec: means of 8x8 pixels."""

    def fingerprint(self) -> str:
        return "pooling"

    def encode(self, pixels: Tensor) -> Latents:
        mean = torch.nn.functional.avg_pool2d(pixels, 8)
        return Latents(mean, mean.abs().clamp_min(1e-6).log())


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return corpus()


@pytest.fixture
def folder(tmp_path: Path, cases: list[Case]) -> Path:
    """A folder of every case, with one picture that nothing is wrong with."""
    folder = tmp_path / "set"
    Case("good.png", encoded(photo(), "PNG"), "used").write(folder)
    for case in cases:
        case.write(folder)
    return folder


def fates(cases: list[Case], fate: str) -> set[str]:
    return {case.name for case in cases if case.fate == fate}


def scanned_of(folder: Path, **options: Any) -> ScannedDataset:
    wanted = {"id": "set", "geometry": GEOMETRY, "captions": CaptionSpec("textfile"), "maximum_edge": 512}
    source = FolderSource.at(str(folder))
    with open_index(folder.parent / "cache/index.sqlite") as index:
        return scan(ScanSpec(**wanted | options), source, index, emit=lambda _: None, now=time.time() + 60)


def filled_of(folder: Path, scanned: ScannedDataset) -> tuple[Dropped, ...]:
    made = arrange(scanned.table, ArrangeSpec(GEOMETRY), seed=1, epoch=0)
    store = TensorStore(folder.parent / "cache")
    cache = LatentCache(FolderSource.at(str(folder)), Digests(scanned.table.digests), store, Pooling())
    return fill_latents(made.entries, cache, FillSettings(4), lambda _: None, "set").dropped


def footprint(folder: Path) -> dict[str, tuple[object, ...]]:
    """Every name with its kind, size, time and, of a file that may be read, its bytes."""
    found: dict[str, tuple[object, ...]] = {}
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(root, name)
            fact = path.lstat()
            is_small = stat.S_ISREG(fact.st_mode) and fact.st_size < 1 << 28
            content = hashlib.sha256(path.read_bytes()).hexdigest() if is_small else ""
            found[str(path)] = (stat.S_IFMT(fact.st_mode), fact.st_size, fact.st_mtime_ns, content)
    return found


def test_the_corpus_is_what_was_promised(cases: list[Case]) -> None:
    assert len(fates(cases, "dropped")) >= 60
    assert len({case.file for case in cases}) == len(cases)
    assert all(case.reason for case in cases if case.fate == "dropped"), "each says which reason is expected"


def test_every_bad_file_is_named_with_its_reason_and_every_good_one_is_used(folder: Path, cases: list[Case]) -> None:
    before = footprint(folder)
    scanned = scanned_of(folder)
    dropped = {item.file: item for item in (*scanned.dropped, *filled_of(folder, scanned))}
    assert dropped.keys() == fates(cases, "dropped")
    bad = [case for case in cases if case.fate == "dropped"]
    wrong = {case.name: dropped[case.name].reason for case in bad if case.reason not in dropped[case.name].reason}
    assert wrong == {}
    assert all(item.cure for item in dropped.values())
    assert set(scanned.table.paths) - dropped.keys() == fates(cases, "used") | {"good.png"}
    assert any("first frame of 5 animations" in note for note in scanned.notes)
    assert footprint(folder) == before, "no source file is touched"


def test_nearly_every_truncated_file_is_known_without_decoding_all_pictures(folder: Path, cases: list[Case]) -> None:
    known = {item.file for item in scanned_of(folder).dropped}
    assert {name for name in fates(cases, "dropped") if name.startswith("cut_")} <= known


def test_a_caption_from_a_name_is_that_name(folder: Path) -> None:
    table = scanned_of(folder, captions=CaptionSpec("filename")).table
    names = (
        "line\nbreak.png",
        "\U0001f431 cat.png",
        "cafe\u0301.png",
        "caf\u00e9.png",
        "100%41.png",
        "-rf.png",
        "a.b.c.png",
    )
    for name in names:
        assert table.captions[table.row(name)] == (name.removesuffix(".png"),)


def adapter_digest(output: Path) -> str:
    """The SHA-256 of everything in an adapter file; safetensors writes its metadata in another order each time."""
    digest = hashlib.sha256()
    with safe_open(output / ADAPTER, "np") as file:
        digest.update(json.dumps(file.metadata(), sort_keys=True).encode())
        for name in sorted(file.keys()):
            digest.update(name.encode() + file.get_tensor(name).tobytes())
    return digest.hexdigest()


@pytest.fixture
def good(train: Train, tmp_path: Path) -> Path:
    """Six good pictures with captions instead of the usual ones; the folder of the data set."""
    folder = tmp_path / "pictures"
    shutil.rmtree(folder)
    for number in range(6):
        Case(f"{number}_good.png", encoded(photo(96, 96, seed=number), "PNG"), "used").write(folder)
    dataloader = tmp_path / "config" / "multidatabackend.json"
    (entry,) = json.loads(dataloader.read_text())
    entry |= {"caption_strategy": "textfile", "minimum_image_size": 48}
    dataloader.write_text(json.dumps([entry]))
    return folder


def test_bad_files_change_nothing_in_what_is_trained(
    train: Train, good: Path, tmp_path: Path, cases: list[Case]
) -> None:
    assert train(output_dir="without") == 0
    bad = [case for case in cases if case.fate != "used"]
    for case in bad:
        case.write(good)
    before = footprint(good)
    assert train(output_dir="with") == 0
    assert footprint(good) == before
    assert adapter_digest(tmp_path / "with") == adapter_digest(tmp_path / "without")
    (report,) = json.loads((tmp_path / "with" / "report.json").read_text())["datasets"]
    dropped = {item["file"]: item for item in report["dropped"]}
    assert dropped.keys() == fates(bad, "dropped")
    assert all(case.reason in dropped[case.name]["reason"] for case in bad if case.fate == "dropped")
    assert all(item["cure"] for item in dropped.values())
    assert (report["used"], report["files"]) == (6, 6 + len(dropped))
