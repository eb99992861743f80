"""Masks and reference pictures: paired by stem, cut as their pictures are."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

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
    training_data,
)

SIZES = {"wide.png": (160, 64), "tall.png": (64, 160), "large.png": (200, 180)}


def partner(kind: str, name: str = "masks", **keys: Any) -> dict[str, Any]:
    """A conditioning data set in a folder of its own name."""
    own = {"id": name, "instance_data_dir": name, "cache_dir_vae": f"cache/{name}"}
    return dataset(dataset_type="conditioning", conditioning_type=kind, **own, **keys)


def threshold(level: int = 128) -> None:
    """A mask for each picture: where its red is at least ``level``."""
    Path("masks").mkdir(exist_ok=True)
    for file in sorted(Path("pictures").glob("*.png")):
        with Image.open(file) as image:
            red = np.asarray(image.convert("RGB"))[..., 0]
        Image.fromarray(np.where(red >= level, 255, 0).astype(np.uint8)).save(Path("masks") / file.name)


def masked(**keys: Any) -> None:
    """Pictures of several shapes with masks."""
    folder("pictures", SIZES)
    threshold()
    dataloader(dataset(conditioning_data="masks", **keys), partner("mask"))


def test_a_mask_lies_on_its_picture_to_the_pixel(train: Train) -> None:
    """Each picture is black and white and is its own mask: what training gets of both must agree cell by cell."""
    folder("pictures", SIZES)
    for file in sorted(Path("pictures").glob("*.png")):
        with Image.open(file) as image:
            black = image.convert("L").point(lambda value: 255 if value > 128 else 0)
        black.convert("RGB").save(file)
        Path("masks").mkdir(exist_ok=True)
        black.save(Path("masks") / file.name)
    dataloader(dataset(conditioning_data="masks", crop_style="random", train_batch_size=1), partner("mask"))
    for epoch in (0, 1):
        data = training_data(output_dir="output")
        for update in data.plan(epoch):
            for use in update.uses:
                entry = data._datasets["flat"]._entry(use)
                with Image.open(Path("pictures") / use.sample.path) as image:
                    scaled = image.convert("L").resize(
                        (entry.placement.intermediary.width, entry.placement.intermediary.height),
                        Image.Resampling.LANCZOS,
                    )
                left, top = entry.crop.left, entry.crop.top
                window = np.asarray(scaled.crop((left, top, left + 64, top + 64)), dtype=np.float32) / 255
                cells = window.reshape(8, 8, 8, 8).mean(axis=(1, 3))
                weights = data.masks(use)
                assert weights is not None
                assert torch.allclose(weights[0], torch.from_numpy(cells), atol=0.01)
                assert weights.std() > 0.02


def test_masks_take_part_in_the_loss(train: Train) -> None:
    masked()
    quiet = {"max_train_steps": 2, "use_ema": "false"}
    assert train(output_dir="masked", **quiet) == 0
    dataloader(dataset())
    assert train(output_dir="bare", **quiet) == 0
    losses = [metrics(Path(name))[0]["train_loss"] for name in ("masked", "bare")]
    assert losses[0] != losses[1]


def test_a_mask_of_nothing_teaches_nothing(train: Train) -> None:
    masked()
    for file in Path("masks").iterdir():
        with Image.open(file) as image:
            Image.new("L", image.size, 0).save(file)
    assert train(max_train_steps=2, lr_warmup_steps=0) == 0
    for record in metrics(Path("output")):
        assert (record["train_loss"], record["grad_absmax"]) == (0, 0)
    assert all(not value.any() for name, value in adapter().items() if name.endswith("lokr_w2"))


def test_a_picture_without_its_mask_ends_the_run_and_is_named(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    masked()
    Path("masks/wide.png").unlink()
    Path("masks/tall.png").unlink()
    for name in ("check", "cache", "train"):
        capsys.readouterr()
        assert command(name) == 3
        heard = capsys.readouterr()
        told = " ".join((heard.out + heard.err).split())
        assert "2 pictures have no partner" in told
        assert "tall.png, wide.png" in told


def test_masks_that_max_num_samples_leaves_out_are_its_doing(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    masked()
    count = len(list(Path("pictures").iterdir()))
    dataloader(dataset(conditioning_data="masks"), partner("mask", max_num_samples=count - 1))
    assert command("check") == 3
    heard = capsys.readouterr()
    told = " ".join((heard.out + heard.err).split())
    assert f'1 pictures have no partner in data set "masks", of which max_num_samples uses {count - 1}:' in told
    assert 'cure: take max_num_samples out of "masks"' in told


def test_a_mask_that_holds_no_picture_leaves_its_picture_out(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    masked()
    Path("masks/wide.png").write_bytes(b"")
    Path("masks/tall.png").write_text("<html>gone</html>")
    for name in ("check", "cache", "train"):
        assert command(name, output_dir=name, max_train_steps=1) == 0
        assert "no partner" not in capsys.readouterr().out
    for name in ("check", "train"):
        found = next(found for found in report(name) if found["id"] == "flat")
        assert found["used"] == 1
        reasons = {item["file"]: item["reason"] for item in found["dropped"]}
        assert reasons["wide.png"].startswith('its partner wide.png in data set "masks": the file is empty')
        assert "HTML" in reasons["tall.png"]


def test_a_run_that_ends_before_training_has_its_report(train: Train) -> None:
    masked()
    Path("masks/wide.png").unlink()
    assert train() == 3
    (found,) = report()
    assert (found["id"], found["where"]) == ("flat", "")
    assert "1 pictures have no partner" in found["failed"]


def test_masks_are_paired_by_folder_and_stem(train: Train) -> None:
    for place, name in enumerate(("one/a.jpg", "two/a.jpg")):
        picture(Path("twins") / name, (64, 64), place)
        picture(Path("masks") / Path(name).with_suffix(".webp"), (64, 64), place)
    dataloader(dataset(conditioning_data="masks", instance_data_dir="twins"), partner("mask"))
    assert command("cache") == 0
    assert {(found["sample"], found["mask"]) for found in facts("cache/masks")} == {
        ("flat/one/a.jpg", "one/a.webp"),
        ("flat/two/a.jpg", "two/a.webp"),
    }


def test_two_data_sets_of_masks_are_refused(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    masked()
    dataloader(dataset(conditioning_data=["masks", "more"]), partner("mask"), partner("mask", "more"))
    folder("more", SIZES)
    for name in ("check", "cache", "train"):
        assert command(name) == 2
        assert "two data sets of masks: masks and more" in capsys.readouterr().err


@pytest.mark.parametrize("fault", ["another shape", "damaged"])
def test_a_picture_whose_mask_cannot_be_used_is_left_out_and_not_deleted(
    train: Train, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    masked(delete_problematic_images=True)
    mask = Path("masks/wide.png")
    if fault == "damaged":
        noise = np.random.default_rng(0).integers(0, 256, (64, 160), dtype=np.uint8)
        Image.fromarray(noise).save(mask)
        content = mask.read_bytes()
        # Its end is in place, so that only decoding finds out.
        middle = len(content) // 2
        mask.write_bytes(content[:middle] + bytes(40) + content[middle + 40 :])
    else:
        picture(mask, (64, 64))
    assert train("--yes-delete", max_train_steps=2) == 0
    (found,) = report()
    assert found["used"] == 2
    (left_out,) = found["dropped"]
    assert left_out["file"] == "wide.png"
    assert "its mask wide.png: " in left_out["reason"]
    assert "deleted" not in capsys.readouterr().out
    assert sorted(path.name for path in Path("pictures").iterdir()) == sorted(SIZES)
    assert mask.is_file()


@pytest.mark.parametrize("mixing", ["bucket", "pad"])
def test_masks_of_new_crops_are_made_and_cleared_and_a_resume_changes_nothing(train: Train, mixing: str) -> None:
    folder("pictures", {f"{name}.png": (160 + 8 * place, 120) for place, name in enumerate("abcd")})
    threshold()
    dataloader(
        dataset(conditioning_data="masks", crop_style="random", bucket_mixing=mixing),
        partner("mask"),
    )
    how = {"checkpoint_step_interval": 100}
    assert train(max_train_steps=7, output_dir="whole", **how) == 0
    assert len(entries()) == 4
    assert len(entries("cache/masks")) <= 4
    for steps in (3, 7):
        assert train(max_train_steps=steps, output_dir="parts", **how) == 0
    assert same(adapter("whole"), adapter("parts"))


def references(kind: str, **keys: Any) -> None:
    """Pictures with reference pictures of half their size."""
    folder("pictures", SIZES)
    for place, (name, size) in enumerate(SIZES.items()):
        picture(Path("references") / name, (size[0] // 2, size[1] // 2), 100 + place)
    dataloader(dataset(conditioning_data="references"), partner(kind, "references", **keys))


@pytest.mark.parametrize("kind", ["reference_strict", "reference_loose"])
def test_references_are_checked_cached_and_kept(train: Train, kind: str) -> None:
    references(kind, resolution=128)
    assert command("check") == 0
    assert [(found["id"], found["used"]) for found in report()] == [("flat", 3), ("references", 3)]
    assert command("cache") == 0
    targets = {found["sample"].partition("/")[2]: found["target"] for found in facts("cache/references")}
    assert targets == dict.fromkeys(SIZES, "64x64" if kind == "reference_strict" else "128x128")
    made, text = entries("cache/references"), entries("output/cache/text")
    assert text
    assert command("cache", "--prune") == 0
    assert train(max_train_steps=1) == 0
    assert entries("cache/references") == made, "training and pruning know them too"
    assert entries("output/cache/text") == text, "and captions with pictures in them"


def test_a_strict_reference_takes_the_window_of_its_picture(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    references("reference_strict", crop_style="corner", resolution=128)
    dataloader(
        dataset(conditioning_data="references", crop_style="random"),
        dataset(id="bare", conditioning_data="references", cache_dir_vae="cache/bare", crop=False),
        partner("reference_strict", "references", crop_style="corner", resolution=128),
    )
    assert command("cache") == 0
    assert samples("cache/references") == Counter({f"references/{name}": 2 for name in SIZES})
    windows = ("target", "intermediary", "crop")
    theirs = {
        (found["sample"].partition("/")[2], *(found[part] for part in windows))
        for place in ("cache/vae", "cache/bare")
        for found in facts(place)
    }
    mine = {
        (found["sample"].partition("/")[2], *(found[part] for part in windows)) for found in facts("cache/references")
    }
    assert mine == theirs
    for entry in entries("cache/references"):
        assert command("cache", "--explain", str(entry)) == 0
        assert ": used" in capsys.readouterr().out
    assert command("cache", "--explain", "references/wide.png") == 0
    assert capsys.readouterr().out.count("in the cache, sound") == 2


def test_a_strict_reference_of_another_shape_is_refused_by_name(
    train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    references("reference_strict")
    picture(Path("references/wide.png"), (64, 64), 5)
    assert command("cache") == 3
    told = capsys.readouterr().err
    assert "1 pictures have another shape" in told
    assert "wide.png" in told
    references("reference_loose")
    picture(Path("references/wide.png"), (64, 64), 5)
    assert command("cache") == 0
