"""A user's files are deleted by two keys and one switch together, and only those that were meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.runs.conftest import Train
from tests.runs.data_words import command, dataloader, dataset, folder, picture, report

GOOD = {"a.png": (64, 64), "b.png": (96, 96), "c.png": (80, 64)}
SMALL = {"small.png": (32, 32), "sliver.png": (400, 8)}
BAD = ("broken.png", "cut.png", "empty.jpg")


def laid_out(**keys: object) -> None:
    """Good pictures, pictures below the limit, files that are no pictures, and pictures of other programs."""
    folder("pictures", GOOD | SMALL)
    Path("pictures/broken.png").write_text("no picture")
    Path("pictures/empty.jpg").write_bytes(b"")
    content = picture(Path("pictures/cut.png"), (128, 128), 50).read_bytes()
    Path("pictures/cut.png").write_bytes(content[: len(content) // 2])
    Path("pictures/raw.nef").write_bytes(b"a photographer's only copy")
    Path("pictures/b.txt").write_text("a caption")
    dataloader(dataset(minimum_image_size=64, **keys))


def there() -> set[str]:
    return {path.name for path in Path("pictures").iterdir()}


EVERYTHING = {*GOOD, *SMALL, *BAD, "raw.nef", "b.txt"}
UNWANTED, PROBLEMATIC = "delete_unwanted_images", "delete_problematic_images"


@pytest.mark.parametrize("words", [(), ("--yes-delete",)])
def test_nothing_is_deleted_that_no_key_asks_for(train: Train, words: tuple[str, ...]) -> None:
    laid_out()
    assert train(*words, max_train_steps=1) == 0
    assert there() == EVERYTHING


def test_without_the_switch_it_is_told_what_would_go(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    laid_out(delete_unwanted_images=True, delete_problematic_images=True)
    assert train(max_train_steps=1) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert f"{UNWANTED}: 2 files would be deleted with --yes-delete; they stay: sliver.png, small.png" in told
    assert f"{PROBLEMATIC}: 3 files would be deleted with --yes-delete; they stay" in told
    assert there() == EVERYTHING
    for name in ("cache", "check"):
        assert command(name) == 0
        assert there() == EVERYTHING


@pytest.mark.parametrize(
    ("keys", "gone"),
    [((UNWANTED,), set(SMALL)), ((PROBLEMATIC,), set(BAD)), ((UNWANTED, PROBLEMATIC), {*SMALL, *BAD})],
)
@pytest.mark.parametrize("place", ["entry", "option"])
def test_with_the_switch_exactly_those_go(
    train: Train, capsys: pytest.CaptureFixture[str], keys: tuple[str, ...], gone: set[str], place: str
) -> None:
    laid_out(**(dict.fromkeys(keys, True) if place == "entry" else {}))
    options = dict.fromkeys(keys, "true") if place == "option" else {}
    assert train("--yes-delete", max_train_steps=1, **options) == 0
    assert there() == EVERYTHING - gone
    told = capsys.readouterr().out
    assert all(name in told for name in gone)
    (found,) = report()
    assert {item["file"] for item in found["dropped"]} == {*SMALL, *BAD, "raw.nef"}, "the report keeps their names"
    assert train("--yes-delete", max_train_steps=1, output_dir="again", **options) == 0
    assert there() == EVERYTHING - gone


def test_other_reasons_delete_nothing(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    """Missing captions, buckets that are pruned, a folder that is closed."""
    folder("pictures", {"a.png": (64, 64), "b.png": (64, 64), "alone.png": (192, 64), "mute.png": (64, 64)})
    for name in ("a", "b", "alone"):
        Path(f"pictures/{name}.txt").write_text(name)
    dataloader(dataset(crop=False, caption_strategy="textfile", **dict.fromkeys((UNWANTED, PROBLEMATIC), True)))
    assert train("--yes-delete", max_train_steps=1, disable_bucket_pruning="false") == 0
    (found,) = report()
    assert {item["file"] for item in found["dropped"]} == {"alone.png", "mute.png"}
    assert len(there()) == 7
    assert "deleted" not in capsys.readouterr().out


def test_a_picture_that_is_only_too_large_stays(train: Train) -> None:
    laid_out(delete_problematic_images=True)
    Image.new("L", (7200, 7200)).save("pictures/giant.png", compress_level=1)
    assert train("--yes-delete", max_train_steps=1) == 0
    (found,) = report()
    (giant,) = [item for item in found["dropped"] if item["file"] == "giant.png"]
    assert "too large to decode" in giant["reason"]
    assert "giant.png" in there()
