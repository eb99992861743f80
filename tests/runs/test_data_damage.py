"""Pictures and masks that cannot be read: remembered until they change, and too many of them end a run."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.runs.conftest import Train
from tests.runs.data_words import command, dataloader, dataset, folder, report

SIZES = {"a.png": (96, 96), "b.png": (80, 80), "c.png": (64, 96), "d.png": (128, 64)}


def spoil(path: Path) -> None:
    """Its end is in place, so that only decoding finds out."""
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes(40) + content[middle + 40 :])


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was written just now is not trusted to be the same the next time."""
    later = time.time() + 60
    monkeypatch.setattr(time, "time", lambda: later)


@pytest.mark.parametrize("words", [("check", "--deep"), ("train",), ("cache",)])
def test_too_many_pictures_that_cannot_be_decoded_end_a_run(
    words: tuple[str, ...], train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    folder("pictures", SIZES)
    spoil(Path("pictures/b.png"))
    dataloader(dataset(maximum_unreadable_percent=24))
    assert command(*words, max_train_steps=1) == 3
    told = capsys.readouterr()
    text = " ".join((told.out + told.err).split())
    assert "1 of 4 pictures (25 %) cannot be read, and maximum_unreadable_percent is 24 (b.png: its pixels" in text
    # What was found is remembered, so that the plain check knows it without decoding.
    assert command("check") == 3
    dataloader(dataset(maximum_unreadable_percent=25))
    assert command("check") == 0
    (found,) = report()
    assert (found["used"], [item["file"] for item in found["dropped"]]) == (3, ["b.png"])


def test_a_damaged_mask_is_remembered(train: Train) -> None:
    folder("pictures", SIZES)
    folder("masks", SIZES)
    spoil(Path("masks/b.png"))
    own = {"id": "masks", "instance_data_dir": "masks", "cache_dir_vae": "cache/masks"}
    masks = dataset(dataset_type="conditioning", conditioning_type="mask", **own)
    dataloader(dataset(conditioning_data="masks"), masks)
    assert train(max_train_steps=1) == 0
    assert command("check") == 0
    found = next(found for found in report() if found["id"] != "masks")
    (left_out,) = found["dropped"]
    assert left_out["file"] == "b.png"
    assert left_out["reason"].startswith('its partner b.png in data set "masks": its pixels cannot be decoded')
