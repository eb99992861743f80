"""Nothing is stale: what was done to the folder between two runs is told by name, and nothing else is made anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.runs.conftest import Train, metrics
from tests.runs.data_words import (
    adapter,
    command,
    dataloader,
    dataset,
    entries,
    facts,
    folder,
    picture,
    report,
    same,
    samples,
)

NAMES = ("edited", "gone", "kept", "old", "told")


def captioned() -> None:
    """Five pictures with a caption each."""
    folder("pictures", {f"{name}.png": (64, 64) for name in NAMES})
    for name in NAMES:
        Path(f"pictures/{name}.txt").write_text(f"a picture of {name}")
    dataloader(dataset(caption_strategy="textfile"))


def change() -> None:
    """Each kind of change to one picture."""
    picture(Path("pictures/edited.png"), seed=77)
    Path("pictures/gone.png").unlink()
    Path("pictures/gone.txt").unlink()
    for suffix in ("png", "txt"):
        Path(f"pictures/old.{suffix}").rename(f"pictures/young.{suffix}")
    Path("pictures/told.txt").write_text("another caption")
    picture(Path("pictures/new.png"), seed=78)
    Path("pictures/new.txt").write_text("a new picture")


@pytest.mark.parametrize("start", ["train", "cache"])
def test_every_change_is_told_and_only_what_changed_is_made(
    train: Train, capsys: pytest.CaptureFixture[str], start: str
) -> None:
    captioned()
    assert command(start, max_train_steps=1, output_dir="before", cache_dir_text="cache/text") == 0
    before = entries()
    assert len(before) == 5
    change()
    capsys.readouterr()
    assert command(start, max_train_steps=1, output_dir="after", cache_dir_text="cache/text") == 0
    told = capsys.readouterr().out
    for line in ("1 added: new.png", "1 changed: edited.png", "1 renamed: old.png -> young.png", "1 removed: gone.png"):
        assert f'data set "flat": {line}' in told
    now = entries()
    assert {path: now[path] for path in before} == before, "no entry of before is written again"
    assert sorted(found["sample"] for found in facts()) == sorted(
        [*(f"flat/{name}.png" for name in NAMES), "flat/edited.png", "flat/new.png"]
    ), "a renamed picture has its latent already"
    assert {found["text"] for found in facts("cache/text")} == {
        *(f"a picture of {name}" for name in NAMES),
        "another caption",
        "a new picture",
    }
    capsys.readouterr()
    assert command(start, max_train_steps=1, output_dir="again", cache_dir_text="cache/text") == 0
    told = capsys.readouterr().out
    assert not any(word in told for word in (" added:", " changed:", " renamed:", " removed:"))


def test_the_second_run_is_that_of_a_fresh_folder(train: Train) -> None:
    captioned()
    assert train(max_train_steps=3, output_dir="before") == 0
    change()
    assert train(max_train_steps=3, output_dir="after") == 0
    dataloader(dataset(caption_strategy="textfile", cache_dir_vae="cache/anew"))
    assert train(max_train_steps=3, output_dir="anew") == 0
    assert same(adapter("after"), adapter("anew"))
    assert not same(adapter("after"), adapter("before"))
    (told,) = report("after")
    assert (told["files"], told["used"], told["dropped"]) == (5, 5, [])
    losses = [[record["train_loss"] for record in metrics(Path(name))] for name in ("after", "anew")]
    assert losses[0] == losses[1]


def test_a_caption_alone_is_no_reason_to_encode_and_changes_the_result(train: Train) -> None:
    captioned()
    still = {"max_train_steps": 3, "caption_dropout_probability": 0}
    assert train(output_dir="before", **still) == 0
    before = entries()
    for name in NAMES:
        Path(f"pictures/{name}.txt").write_text(f"quite another {name}")
    assert train(output_dir="after", **still) == 0
    assert entries() == before
    assert not same(adapter("before"), adapter("after"))


def test_a_damaged_entry_is_mended_on_the_way(train: Train) -> None:
    captioned()
    assert train(max_train_steps=3, output_dir="whole") == 0
    sound = {path: path.read_bytes() for path in entries()}
    for place, path in enumerate(sorted(sound)):
        content = bytearray(sound[path])
        content[len(content) * place // 5] ^= 1
        path.write_bytes(content if place else content[:100])
    assert train(max_train_steps=3, output_dir="mended") == 0
    assert same(adapter("whole"), adapter("mended"))
    assert {path: path.read_bytes() for path in entries()} == sound


def test_a_picture_that_goes_bad_is_left_out_with_its_reason(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    captioned()
    assert train(max_train_steps=1, output_dir="before") == 0
    bad = Path("pictures/kept.png")
    bad.write_bytes(bad.read_bytes()[: bad.stat().st_size // 2])
    Path("pictures/told.txt").unlink()
    capsys.readouterr()
    assert train(max_train_steps=1, output_dir="after") == 0
    told = capsys.readouterr().out
    assert "left out kept.png: " in told
    assert "left out told.png: " in told
    (found,) = report("after")
    assert (found["files"], found["used"]) == (5, 3)
    assert sorted(item["file"] for item in found["dropped"]) == ["kept.png", "told.png"]
    assert samples()["flat/kept.png"] == 1, "the entry of the sound file stays until it is pruned"
    assert json.loads(Path("after/report.json").read_text())["problems"] == []
