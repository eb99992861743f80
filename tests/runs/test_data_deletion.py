"""A user's files are deleted by two keys and one switch together, and only those that were meant."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from PIL import Image

from simpletuner.assemble.data.deletion import delete_dropped
from simpletuner.assemble.data.survey import Surveyed, around_of, survey, used_in_training
from simpletuner.cli.select import select_run
from simpletuner.core.events import Event, Notice
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


def surveyed() -> dict[str, Surveyed]:
    """The data sets of the run in the working directory."""
    loaded, _ = select_run([], Path.cwd(), os.environ)
    return survey(used_in_training(loaded.datasets), around_of(loaded, 42, 512), lambda _event: None)


def deleted(name: str, found: dict[str, Surveyed]) -> list[str]:
    """Delete what one data set asks for; what was told."""
    told: list[str] = []

    def hear(event: Event) -> None:
        if isinstance(event, Notice):
            told.append(event.text)

    delete_dropped(found[name], hear, allowed=True, others=found.values())
    return told


@pytest.mark.parametrize(
    "keys",
    [{"dataset_type": "eval", "instance_data_dir": "held"}, {"probability": 0}],
    ids=["held out through links", "switched off"],
)
def test_a_picture_of_a_data_set_that_is_not_trained_on_stays(
    train: Train, capsys: pytest.CaptureFixture[str], keys: dict[str, object]
) -> None:
    folder("pictures", GOOD | SMALL)
    Path("held").mkdir()
    for name in (*GOOD, *SMALL):
        Path("held", name).symlink_to(Path("pictures", name).resolve())
    dataloader(
        dataset(minimum_image_size=64, delete_unwanted_images=True),
        dataset(id="held", cache_dir_vae="cache/held", **keys),
    )
    assert command("train", "--yes-delete", max_train_steps=1) == 0
    assert 'are kept: used by data set "held"' in " ".join(capsys.readouterr().out.split())
    assert there() == {*GOOD, *SMALL}


def test_a_picture_that_another_data_set_uses_stays(train: Train) -> None:
    """One data set is a folder inside, another one reaches a picture through a link."""
    folder("pictures", {"large.png": (256, 256), "small.png": (80, 80), "useless.png": (32, 32)})
    picture(Path("pictures/inner/tiny.png"), (70, 70), 9)
    Path("linked").mkdir()
    Path("linked/other.png").symlink_to(Path("pictures/small.png").resolve())
    big = dataset(id="big", minimum_image_size=128, delete_unwanted_images=True, cache_dir_vae="cache/big")
    dataloader(
        big,
        dataset(id="linked", instance_data_dir="linked", cache_dir_vae="cache/linked"),
        dataset(id="inner", instance_data_dir="pictures/inner", cache_dir_vae="cache/inner"),
    )
    told = deleted("big", surveyed())
    assert sorted(told) == [
        f'data set "big", {UNWANTED}: 1 files are kept: used by data set "inner": inner/tiny.png',
        f'data set "big", {UNWANTED}: 1 files are kept: used by data set "linked": small.png',
        f'data set "big", {UNWANTED}: 1 files deleted: useless.png',
    ]
    assert there() == {"large.png", "small.png", "inner"}
    assert Path("pictures/inner/tiny.png").exists()


def test_a_partner_of_a_picture_stays(train: Train) -> None:
    folder("pictures", {"a.png": (64, 64), "b.png": (64, 64)})
    folder("masks", {"a.png": (64, 64), "b.png": (256, 256), "c.png": (64, 64)})
    conditioning = {"dataset_type": "conditioning", "conditioning_type": "mask", "cache_dir_vae": "cache/masks"}
    dataloader(
        dataset(conditioning_data="masks"),
        dataset(id="masks", instance_data_dir="masks") | conditioning,
        dataset(
            id="twice",
            instance_data_dir="masks",
            minimum_image_size=128,
            delete_unwanted_images=True,
            cache_dir_vae="cache/twice",
        ),
    )
    found = surveyed()
    used = found["masks"].without((), frozenset(("a.png", "c.png")))
    deleted("twice", found | {"masks": used})
    assert {path.name for path in Path("masks").iterdir()} == {"a.png", "b.png"}


@pytest.mark.parametrize("key", [UNWANTED, PROBLEMATIC])
def test_originals_outside_the_folder_stay(train: Train, capsys: pytest.CaptureFixture[str], key: str) -> None:
    laid_out(**{key: True})
    folder("elsewhere", {"original.png": (32, 32)})
    Path("elsewhere/damaged.png").write_text("no picture")
    Path("pictures/link").symlink_to(Path("elsewhere").resolve())
    assert train("--yes-delete", max_train_steps=1) == 0
    assert {path.name for path in Path("elsewhere").iterdir()} == {"original.png", "damaged.png"}
    assert "1 files are kept: a link leads to them, outside the folder" in " ".join(capsys.readouterr().out.split())
    assert there() == EVERYTHING - (set(SMALL) if key == UNWANTED else set(BAD)) | {"link"}


def test_a_folder_that_is_a_link_itself_is_the_users_own(train: Train) -> None:
    laid_out(delete_unwanted_images=True)
    Path("pictures").rename("real")
    Path("pictures").symlink_to("real")
    assert train("--yes-delete", max_train_steps=1) == 0
    assert there() == EVERYTHING - set(SMALL)


def test_a_size_that_a_table_tells_wrongly_deletes_nothing(train: Train) -> None:
    sizes = {"a.png": (64, 64), "b.png": (96, 96), "small.png": (32, 32)}
    folder("pictures", sizes)
    rows = [{"f": name, "w": 20, "h": 20} for name in ("a.png", "small.png")]
    Path("table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = {"filename_column": "f", "width_column": "w", "height_column": "h"}
    table = {"path": "table.jsonl", "identifier_includes_extension": True, **columns}
    dataloader(dataset(minimum_image_size=64, delete_unwanted_images=True, metadata_backend="parquet", parquet=table))
    assert train("--yes-delete", max_train_steps=1) == 0
    (found,) = report()
    assert {item["file"] for item in found["dropped"]} == {"a.png", "small.png"}
    assert there() == {"a.png", "b.png"}
