from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from simpletuner.assemble.data.findings import dataset_notes, dataset_problems, leak_problems, trained_report
from simpletuner.assemble.data.survey import around_of, survey
from simpletuner.data.captions.report import CaptionReport
from simpletuner.data.places.upscaling import Upscaling
from simpletuner.data.report.deep import Leak
from simpletuner.data.report.report import DatasetReport
from tests.assemble.conftest import dataset, loaded_run, write_scenes

GOOD = DatasetReport("cats", 10, 10, {"1.0": 10}, 5, (), captions=CaptionReport("textfile", advised=122))


def test_a_good_data_set_has_no_problem() -> None:
    assert dataset_problems(GOOD) == []
    assert dataset_notes(replace(GOOD, notes=("a note",)), 4) == ["a note"]
    assert leak_problems([]) == []


def test_buckets_that_cannot_fill_an_update_with_the_arithmetic_and_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_scenes(tmp_path / "cats", [f"{number}.png" for number in range(8)])
    write_scenes(tmp_path / "cats/wide", ["a.png", "b.png", "c.png"], (128, 64))
    loaded = loaded_run(tmp_path, [dataset("cats")], train_batch_size=4, gradient_accumulation_steps=2)
    found = survey(loaded.datasets, around_of(loaded, 42, 1024), lambda _event: None)["cats"]
    report = trained_report(found)
    assert report.updates == {"1.0": 1, "2.0": 1}
    assert report.short_buckets == {"2.0": ("wide/a.png", "wide/b.png", "wide/c.png")}
    (told,) = dataset_problems(report)
    assert told.startswith('data set "cats": bucket 2.0 cannot fill one update')
    for part in ("wide/a.png, wide/b.png, wide/c.png", "3 x (0 repeats + 1) = 3 uses", "= 8", "set repeats to 2"):
        assert part in told
    assert (
        trained_report(replace(found, config=found.config.model_copy(update={"dataset_type": "eval"}))).shortages == ()
    )


def test_pictures_that_are_repeated_to_fill_a_bucket_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_scenes(tmp_path / "cats", [f"{number}.png" for number in range(3)])
    loaded = loaded_run(tmp_path, [dataset("cats")], train_batch_size=4, allow_dataset_oversubscription="true")
    found = survey(loaded.datasets, around_of(loaded, 42, 1024), lambda _event: None)["cats"]
    report = trained_report(found)
    assert report.shortages == ()
    (note,) = report.notes
    assert "bucket 1.0 is filled with 1 further uses an epoch" in note
    assert "1.3 times" in note


def test_many_short_buckets_are_not_all_told() -> None:
    told = dataset_problems(replace(GOOD, shortages=tuple(f"bucket {number}" for number in range(9))))
    assert told[-1] == 'data set "cats": ... and 6 more buckets that cannot fill one update, in report.json'
    assert len(told) == 4


@pytest.mark.parametrize(
    ("found", "parts"),
    [
        (
            replace(GOOD, upscaled=Upscaling(count=9, strong=2, factor=4.0, file="tiny.png")),
            ["2 pictures enlarged more than 1.5 times", "tiny.png (4 times)", "minimum_image_size"],
        ),
        (
            replace(GOOD, captions=CaptionReport("textfile", duplicates=(("a cat " * 30, ("a.png", "b.png")),))),
            ["2 pictures share the caption", "a cat a cat", "...", "a.png, b.png"],
        ),
        (
            replace(GOOD, captions=CaptionReport("filename", over=(("a.png", 300),), over_count=8, advised=122)),
            ["8 captions longer than the 122 tokens", "estimated", "a.png (300) and 3 more"],
        ),
        (replace(GOOD, identical=(("a", "b"),)), ["the same, byte for byte: a, b"]),
        (replace(GOOD, similar=(("a", "b", "c", "d", "e", "f"),)), ["look alike: a, b, c, d, e and 1 more"]),
        (replace(GOOD, mislabelled=("a.png (JPEG)",)), ["another format than their name says", "a.png (JPEG)"]),
    ],
)
def test_what_is_worth_a_look(found: DatasetReport, parts: list[str]) -> None:
    (told,) = dataset_problems(found)
    assert told.startswith('data set "cats": ')
    for part in parts:
        assert part in told, part


def test_slight_enlargement_is_no_problem() -> None:
    assert dataset_problems(replace(GOOD, upscaled=Upscaling(count=9, factor=1.2, file="a.png"))) == []


def test_leaks_are_named() -> None:
    leaks = [Leak(f"eval/{number}.png", "train/a.png", number % 2) for number in range(12)]
    told = leak_problems(leaks)
    assert told[0] == "leak: eval/0.png is held out, and looks just like train/a.png"
    assert "looks nearly like" in told[1]
    assert told[-1] == "... and 2 more leaks, in report.json"
    assert len(told) == 11


@pytest.mark.parametrize(("used", "kind", "noted"), [(4, "image", True), (5, "image", False), (4, "eval", False)])
def test_fewer_pictures_than_the_vae_takes_at_once_is_a_mere_note(used: int, kind: str, noted: bool) -> None:
    found = replace(GOOD, used=used, type=kind)
    assert dataset_problems(found) == []
    assert any("vae_batch_size 4" in note for note in dataset_notes(found, 4)) == noted
