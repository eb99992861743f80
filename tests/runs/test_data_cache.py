"""`simpletuner cache`: what it makes, what it leaves, what it removes and what it says of a file."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest

from simpletuner.core.events import Event, Notice
from tests.runs.conftest import Train
from tests.runs.data_words import (
    command,
    dataloader,
    dataset,
    entries,
    facts,
    folder,
    picture,
    samples,
    training_data,
)

TOKENS = "output/cache/text/omnigen"


def masked() -> None:
    """Two pictures with their masks."""
    folder("pictures", {"a.png": (96, 64), "b.png": (64, 64)})
    folder("masks", {"a.png": (96, 64), "b.png": (64, 64)})
    masks = {"id": "masks", "dataset_type": "conditioning", "conditioning_type": "mask", "instance_data_dir": "masks"}
    dataloader(dataset(conditioning_data="masks"), dataset(cache_dir_vae="cache/masks") | masks)


def test_it_fills_latents_masks_and_tokens_once(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    masked()
    assert command("cache") == 0
    assert samples() == Counter({"flat/a.png": 1, "flat/b.png": 1})
    assert {(found["sample"], found["mask"]) for found in facts("cache/masks")} == {
        ("flat/a.png", "a.png"),
        ("flat/b.png", "b.png"),
    }
    assert sorted(found["text"] for found in facts(TOKENS)) == ["a", "b"]
    made = {place: entries(place) for place in ("cache/vae", "cache/masks", TOKENS)}
    capsys.readouterr()
    assert command("cache") == 0
    assert 'data set "flat": 0 made, 2 there already, 0 left out' in capsys.readouterr().out
    assert {place: entries(place) for place in made} == made
    assert train(max_train_steps=1) == 0
    assert {place: entries(place) for place in made} == made, "training finds everything there"


def test_pruning_removes_what_an_edited_configuration_does_not_use_and_nothing_else(
    train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    masked()
    assert command("cache") == 0
    small = {place: set(entries(place)) for place in ("cache/vae", "cache/masks", TOKENS)}
    Path("cache/vae/a-note.txt").write_text("mine")
    dataloader(
        dataset(conditioning_data="masks", resolution=128, caption_strategy="textfile"),
        dataset(
            id="masks",
            dataset_type="conditioning",
            conditioning_type="mask",
            instance_data_dir="masks",
            cache_dir_vae="cache/masks",
        ),
    )
    Path("pictures/a.txt").write_text("a caption")
    Path("pictures/b.txt").write_text("b")
    assert command("cache") == 0
    both = {place: set(entries(place)) for place in small}
    assert [len(both[place]) for place in both] == [4, 4, 3]
    capsys.readouterr()
    assert command("cache", "--prune") == 0
    left = {place: set(entries(place)) for place in small}
    assert left["cache/vae"] == both["cache/vae"] - small["cache/vae"]
    assert left["cache/masks"] == both["cache/masks"] - small["cache/masks"]
    assert sorted(found["text"] for found in facts(TOKENS)) == ["a caption", "b"]
    assert "cache/vae: 2 files removed" in capsys.readouterr().out
    assert Path("cache/vae/a-note.txt").read_text() == "mine"
    assert command("cache", "--prune") == 0
    assert "cache/vae: 0 files removed (0.0 MB), 2 entries kept" in capsys.readouterr().out


def test_explaining_a_picture(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    folder("pictures", {"used.png": (96, 64), "small.png": (32, 32), "extra.png": (80, 80)})
    Path("pictures/broken.png").write_text("no picture")
    dataloader(dataset(minimum_image_size=64))
    assert command("cache", "--explain", "pictures/used.png") == 0
    told = capsys.readouterr().out
    assert "trained at: 64x64" in told
    assert "scaled to: 96x64" in told
    assert "crop: 16,0" in told
    assert "not in the cache" in told
    assert not entries(), "explaining makes nothing"
    assert command("cache") == 0
    capsys.readouterr()
    assert command("cache", "--explain", "used.png") == 0
    assert "in the cache, sound" in capsys.readouterr().out
    Path("way").symlink_to("pictures")
    for same in ("config/../pictures/used.png", "way/used.png"):
        assert command("cache", "--explain", same) == 0
        assert "in the cache, sound" in capsys.readouterr().out
    assert command("cache", "--explain", "pictures/small.png") == 0
    told = capsys.readouterr().out
    assert 'data set "flat": small.png is left out' in told
    assert "minimum_image_size" in told
    assert command("cache", "--explain", "pictures/broken.png") == 0
    assert "broken.png is left out: not a" in capsys.readouterr().out
    assert command("cache", "--explain", "elsewhere/used.png") == 2
    assert "no data set of this run holds it" in capsys.readouterr().err
    dataloader(dataset(max_num_samples=1))
    told = ""
    for name in ("used", "small", "extra"):
        assert command("cache", "--explain", f"pictures/{name}.png") == 0
        told += capsys.readouterr().out
    assert told.count("is left out: max_num_samples keeps 1") == 2


def test_explaining_an_entry(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    folder("pictures", {"a.png": (96, 64)})
    assert command("cache") == 0
    (central,) = entries()
    capsys.readouterr()
    assert command("cache", "--explain", str(central)) == 0
    assert "the latent of flat/a.png: used" in capsys.readouterr().out
    dataloader(dataset(crop_style="corner"))
    assert command("cache", "--explain", str(central)) == 0
    assert "not used: the crop was 16,0 and is 0,0" in capsys.readouterr().out
    dataloader(dataset(resolution=128))
    assert command("cache", "--explain", str(central)) == 0
    told = capsys.readouterr().out
    assert "it was trained at 64x64 and is trained at 128x128" in told
    dataloader(dataset())
    picture(Path("pictures/a.png"), (96, 64), seed=9)
    assert command("cache", "--explain", str(central)) == 0
    assert "not used: the file's bytes changed" in capsys.readouterr().out
    central.write_bytes(central.read_bytes()[:-1])
    assert command("cache", "--explain", str(central)) == 0
    assert "damaged" in capsys.readouterr().out
    (token,) = entries(TOKENS)
    assert command("cache", "--explain", str(token)) == 0
    assert 'the tokens of the caption "a"' in capsys.readouterr().out


def test_explaining_a_mask(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    masked()
    assert command("cache") == 0
    capsys.readouterr()
    assert command("cache", "--explain", "masks/a.png") == 0
    assert 'data set "masks": a.png is the mask of flat/a.png' in capsys.readouterr().out
    for mask in sorted(entries("cache/masks")):
        assert command("cache", "--explain", str(mask)) == 0
    told = capsys.readouterr().out
    assert 'the mask "a.png" of flat/a.png: used' in told
    assert 'the mask "b.png" of flat/b.png: used' in told


def test_a_drawn_seed_is_that_of_the_checkpoint(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    folder("pictures", {f"{name}.png": (160 + 16 * place, 64) for place, name in enumerate("abcd")})
    dataloader(dataset(crop_style="random"))
    drawn = {"seed": "-1"}
    assert command("cache", **drawn) == 0
    before = entries()
    assert command("cache", "--prune", **drawn) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "the seed is drawn at the start, and decides crops or captions of flat" in told
    assert entries() == before
    assert train(max_train_steps=1, **drawn) == 0
    assert command("cache", "--prune", **drawn) == 0
    used = entries()
    assert len(used) == 4
    assert command("cache", **drawn) == 0
    assert entries() == used, "what the run goes on with is there"
    dataloader(dataset(crop_style="center"))
    assert command("cache", "--prune", output_dir="other", **drawn) == 0, "no seed decides anything"


def test_what_a_disk_refuses_is_told_without_a_traceback(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    folder("pictures", {"a.png": (64, 64)})
    index = Path("cache/vae/index-flat.sqlite")
    index.mkdir(parents=True)
    for words in (["--prune"], ["--explain", "a.png"], []):
        assert command("cache", *words) == 3
        assert "its index cannot be used" in capsys.readouterr().err


def spoil(path: Path) -> None:
    """Damage that only decoding finds."""
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes(40) + content[middle + 40 :])


def test_a_picture_that_goes_bad_between_epochs_is_told(train: Train) -> None:
    folder("pictures", {"a.png": (640, 320), "b.png": (640, 320)})
    dataloader(dataset(crop_style="random"))
    data, heard = training_data(), list[Event]()
    spoil(Path("pictures/b.png"))
    data._datasets["flat"].begin(1, heard.append)
    (told,) = [event for event in heard if isinstance(event, Notice)]
    assert told.level == "warning"
    assert told.text.startswith('data set "flat", epoch 2: no latent of b.png: ')


def test_a_damaged_picture_is_decoded_once(
    train: Train, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder("pictures", {"a.png": (64, 64), "b.png": (256, 256)})
    spoil(Path("pictures/b.png"))
    # A file that was written just now is not trusted to be the same the next time.
    later = time.time() + 60
    monkeypatch.setattr(time, "time", lambda: later)
    assert command("cache") == 0
    assert "left out b.png" in capsys.readouterr().out
    assert command("cache") == 0
    assert 'data set "flat": 0 made, 1 there already, 0 left out' in capsys.readouterr().out


def test_pruning_and_explaining_are_two_commands(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("cache", "--prune", "--explain", "pictures/frog.png") == 2
    assert "two commands" in capsys.readouterr().err


def subject(size: int, **keys: object) -> dict[str, object]:
    """One of the two data sets of the document that look at the same folder."""
    limits = dict.fromkeys(("resolution", "minimum_image_size", "maximum_image_size", "target_downsample_size"), size)
    how = {"id": f"subject-{size}", "crop": False, "resolution_type": "pixel_area", "crop_style": "random"}
    return dataset(**how, **limits, caption_strategy="instanceprompt", instance_prompt="a name", **keys)


SMALL = {128: "128x128", 256: "320x192"}
DOCUMENTED = {512: "576x448", 1024: "1152x896"}


@pytest.mark.parametrize("wide", [SMALL, pytest.param(DOCUMENTED, marks=pytest.mark.long)])
def test_one_folder_at_two_sizes_with_two_files_of_one_stem(train: Train, wide: dict[int, str]) -> None:
    """The document's first file: the same pictures at 512 and 1024."""
    edge = max(wide)
    folder("pictures", {"a.jpg": (edge, edge), "a.png": (edge, edge), "b.png": (edge * 3 // 2, edge * 9 // 8)})
    dataloader(*(subject(size, cache_dir_vae=f"cache/{size}") for size in wide))
    assert command("cache") == 0
    for size, target in wide.items():
        wanted = {("a.jpg", f"{size}x{size}"), ("a.png", f"{size}x{size}"), ("b.png", target)}
        found = {(made["sample"], made["target"]) for made in facts(f"cache/{size}")}
        assert found == {(f"subject-{size}/{name}", window) for name, window in wanted}
    dataloader(*(subject(size, cache_dir_vae="cache/shared") for size in wide))
    assert command("cache") == 0
    alone = {size: {path.name for path in entries(f"cache/{size}")} for size in wide}
    assert {path.name for path in entries("cache/shared")} == set().union(*alone.values())
    assert len(entries("cache/shared")) == 6
    assert train(max_train_steps=1) == 0
    assert len(entries("cache/shared")) == 6
    dataloader(subject(edge, cache_dir_vae="cache/shared"))
    assert command("cache", "--prune") == 0
    assert {path.name for path in entries("cache/shared")} == alone[edge]


def test_two_data_sets_share_what_is_the_same(train: Train) -> None:
    folder("pictures", {"a.png": (64, 64), "b.png": (64, 64)})
    dataloader(dataset(), dataset(id="again", probability=0.5))
    assert command("cache") == 0
    assert len(entries()) == 2
    assert train(max_train_steps=2) == 0
    assert len(entries()) == 2


def test_pictures_for_evaluation_are_cached_too_and_training_leaves_them_alone(train: Train) -> None:
    folder("held", {"x.png": (64, 64), "y.png": (64, 64)})
    held = dataset(id="held", dataset_type="eval", instance_data_dir="held", cache_dir_vae="cache/held")
    dataloader(dataset(), held)
    assert train(max_train_steps=1) == 0
    assert not entries("cache/held")
    assert command("cache") == 0
    assert samples("cache/held") == Counter({"held/x.png": 1, "held/y.png": 1})
    assert {"x", "y"} < {found["text"] for found in facts(TOKENS)}
    made = entries("cache/held"), entries()
    assert command("cache", "--prune") == 0
    assert (entries("cache/held"), entries()) == made


@pytest.mark.parametrize("saving", ["vae_enable_tiling", "vae_enable_slicing"])
def test_saving_memory_is_accepted(train: Train, saving: str) -> None:
    assert command("cache", **{saving: "true"}) == 0
    assert len(entries()) == 5
    assert train(max_train_steps=1, **{saving: "true"}) == 0
    assert len(entries()) == 5


def test_a_disabled_cache_holds_nothing_but_the_index(train: Train) -> None:
    masked()
    keep = {"vae_cache_disable": "true"}
    assert command("cache", **keep) == 0
    assert train(max_train_steps=2, output_dir="never", **keep) == 0
    assert [path.name for path in Path("cache/vae").iterdir()] == ["index-flat.sqlite"]
    assert [path.name for path in Path("cache/masks").iterdir()] == ["index-masks.sqlite"]
    assert command("cache") == 0
    made = entries()
    assert command("cache", "--prune", **keep) == 0
    assert entries() == made, "what is there is read all the same"


def test_on_demand_the_command_fills_and_training_makes_only_what_it_uses(train: Train) -> None:
    assert train(max_train_steps=1, vae_cache_ondemand="true") == 0
    assert len(entries()) == 2, "one update of two pictures"
    assert command("cache", vae_cache_ondemand="true") == 0
    assert len(entries()) == 5
