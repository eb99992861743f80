from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simpletuner.assemble.data.inspect import Inspection, inspect_run
from simpletuner.assemble.data.survey import calendar_of
from simpletuner.core.errors import ConfigError, ExitCode
from simpletuner.models.catalogue import family_facts
from tests.assemble.conftest import dataset, loaded_run, scene, write_scenes

Inspect = Callable[..., Inspection]


@pytest.fixture
def inspect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inspect:
    """Look at a run of the working directory."""
    monkeypatch.chdir(tmp_path)

    def run(*datasets: Any, deep: bool = False, **options: Any) -> Inspection:
        return inspect_run(loaded_run(tmp_path, datasets, **options), deep=deep, emit=lambda _event: None)

    return run


def test_a_good_run(inspect: Inspect, tmp_path: Path) -> None:
    write_scenes(tmp_path / "cats", [f"cat_{number}.png" for number in range(6)])
    write_scenes(tmp_path / "held", ["x.png", "y.png"], first=50)
    found = inspect(dataset("cats", repeats=1), dataset("held", dataset_type="eval"))
    assert found.exit_code == ExitCode.OK
    assert found.report.problems == ()
    cats, held = found.report.datasets
    assert (cats.used, cats.batches, held.used, held.batches) == (6, 6, 2, 0)
    assert (found.report.updates, found.report.steps, found.report.epochs) == (6, 10, 2)
    assert found.report.pictures == 6
    assert sorted(found.surveyed) == ["cats", "held"]
    assert (cats.captions and cats.captions.estimated) is False
    assert not found.report.deep


def test_tokens_are_estimated_while_the_weights_are_not_on_disk(inspect: Inspect, tmp_path: Path) -> None:
    write_scenes(tmp_path / "cats", ["a_cat.png"])
    (found,) = inspect(dataset("cats"), model_flavour="v1").report.datasets
    assert found.captions
    assert found.captions.estimated


@pytest.mark.parametrize("named", ["tiny", "weights"])
def test_the_tokenizer_is_that_of_the_runs_weights(inspect: Inspect, tmp_path: Path, named: str) -> None:
    write_scenes(tmp_path / "cats", ["a_cat.png"])
    source = family_facts("omnigen").flavours["tiny"].source
    if named == "weights":
        shutil.copytree(source, tmp_path / "weights")
    (found,) = inspect(dataset("cats"), model_flavour="v1", pretrained_model_name_or_path=named).report.datasets
    assert found.captions
    assert not found.captions.estimated
    if named == "weights":
        (tmp_path / "weights/tokenizer/tokenizer.json").write_text("{")
        with pytest.raises(ConfigError, match="is no tokenizer"):
            inspect(dataset("cats"), model_flavour="v1", pretrained_model_name_or_path=named)


def test_a_data_set_that_fails_is_a_problem_and_the_others_are_reported(inspect: Inspect, tmp_path: Path) -> None:
    write_scenes(tmp_path / "cats", ["a.png", "b.png"])
    (tmp_path / "empty").mkdir()
    found = inspect(dataset("empty"), dataset("cats"))
    assert found.exit_code == ExitCode.DATA
    (problem,) = found.report.problems
    assert problem.startswith('data set "empty" cannot be used: ')
    assert "no images detected in dataset" in problem
    assert "cure: " in problem
    empty, cats = found.report.datasets
    assert empty.failed
    assert cats.used == 2
    assert found.report.updates == 1


def test_a_name_is_not_told_twice(inspect: Inspect, tmp_path: Path) -> None:
    write_scenes(tmp_path / "cats", ["a.png", "b.png"])
    write_scenes(tmp_path / "masks", ["a.png"])
    masks = dataset("masks", dataset_type="conditioning", conditioning_type="mask")
    (problem, *_) = inspect(dataset("cats", conditioning_data="masks"), masks).report.problems
    assert problem.startswith('data set "cats" cannot be used: 1 pictures have no partner')


def test_masks_have_no_captions_and_no_copies(inspect: Inspect, tmp_path: Path) -> None:
    write_scenes(tmp_path / "cats", ["a.png", "b.png"])
    for name in ("a", "b"):
        (tmp_path / "masks").mkdir(exist_ok=True)
        shutil.copy(tmp_path / "cats/a.png", tmp_path / f"masks/{name}.png")
    masks = dataset("masks", dataset_type="conditioning", conditioning_type="mask")
    found = inspect(dataset("cats", conditioning_data="masks"), masks, deep=True)
    assert found.report.problems == ()
    cats, about_masks = found.report.datasets
    assert cats.partners == ("masks",)
    assert (about_masks.captions, about_masks.identical, about_masks.batches) == (None, (), 0)


def test_captions_in_files_should_differ_and_prompts_may_not(inspect: Inspect, tmp_path: Path) -> None:
    write_scenes(tmp_path / "cats", ["a.png", "b.png", "c.png"])
    for name in ("a", "b", "c"):
        (tmp_path / f"cats/{name}.txt").write_text("a cat" if name < "c" else "word " * 200)
    found = inspect(dataset("cats", caption_strategy="textfile"))
    assert any('share the caption "a cat": a.png, b.png' in text for text in found.report.problems)
    assert any("longer than the 122 tokens that are advised: c.png (" in text for text in found.report.problems)
    assert found.exit_code == ExitCode.OK
    for shared in ({"caption_strategy": "instanceprompt"}, {"only_instance_prompt": True}):
        entry = dataset("cats", **({"caption_strategy": "textfile"} | shared), instance_prompt="a cat")
        assert not any("share" in text for text in inspect(entry).report.problems)


def test_deep_finds_copies_near_copies_and_leaks(inspect: Inspect, tmp_path: Path) -> None:
    write_scenes(tmp_path / "cats", ["a.png", "b.png", "c.png"], (128, 96))
    write_scenes(tmp_path / "held", ["new.png"], (128, 96), first=50)
    shutil.copy(tmp_path / "cats/a.png", tmp_path / "cats/a copy.png")
    scene(1, (128, 96)).resize((96, 72)).save(tmp_path / "cats/b small.jpg", quality=70)
    scene(2, (128, 96)).save(tmp_path / "held/seen.jpg", quality=80)
    sets = (dataset("cats"), dataset("held", dataset_type="eval"))
    shallow = inspect(*sets)
    assert (shallow.report.leaks, shallow.report.datasets[0].similar) == ((), ())
    found = inspect(*sets, deep=True)
    cats = found.report.datasets[0]
    assert cats.identical == (("a copy.png", "a.png"),)
    assert cats.similar == (("b small.jpg", "b.png"),)
    (leak,) = found.report.leaks
    assert (leak.held_out, leak.trained) == ("held/seen.jpg", "cats/c.png")
    for part in ("byte for byte: a copy.png, a.png", "look alike: b small.jpg, b.png", "leak: held/seen.jpg"):
        assert any(part in text for text in found.report.problems), part
    assert found.exit_code == ExitCode.OK


def test_a_run_that_no_data_set_can_fill_is_a_configuration_error(inspect: Inspect, tmp_path: Path) -> None:
    write_scenes(tmp_path / "cats", ["a.png", "b.png"])
    found = inspect(dataset("cats", end_step=3))
    assert found.exit_code == ExitCode.CONFIG
    assert any("no data set is used for step 4" in text for text in found.report.problems)
    assert found.report.datasets[0].used == 2


def test_a_data_set_that_is_never_trained_is_a_problem_and_in_no_total(inspect: Inspect, tmp_path: Path) -> None:
    for name in ("cats", "late"):
        write_scenes(tmp_path / name, ["a.png", "b.png", "c.png"])
    found = inspect(dataset("cats"), dataset("late", start_step=10))
    assert found.exit_code == ExitCode.OK
    (problem,) = (text for text in found.report.problems if "never trained" in text)
    assert problem.splitlines()[0] == 'data set "late" is never trained in this run'
    assert "start_step 10: it begins at step 11, the run ends at step 10" in problem
    cats, late = found.report.datasets
    assert (cats.batches, late.used, late.batches, late.updates, late.shortages) == (2, 3, 0, {}, ())
    assert (found.report.pictures, found.report.updates) == (3, 2)
    assert not any("all of them are trained" in note for note in late.notes)
    assert inspect(dataset("cats"), dataset("late", start_step=8)).report.pictures == 6


def test_a_data_set_of_probability_0_is_left_out(inspect: Inspect, tmp_path: Path) -> None:
    write_scenes(tmp_path / "cats", ["a.png", "b.png"])
    (tmp_path / "unused").mkdir()
    found = inspect(dataset("cats"), dataset("unused", probability=0))
    assert found.exit_code == ExitCode.OK
    assert [report.id for report in found.report.datasets] == ["cats"]
    assert 'data set "unused" is left out: its probability is 0' in found.report.notes


def test_random_shapes_are_counted_epoch_by_epoch(inspect: Inspect, tmp_path: Path) -> None:
    write_scenes(tmp_path / "cats", [f"{number}.png" for number in range(19)], (200, 190))
    shapes = {"crop": True, "crop_aspect": "random", "crop_aspect_buckets": [1.0, 0.5, 2.0, 0.75]}
    options = {"train_batch_size": 4, "num_train_epochs": 7, "max_train_steps": 0}
    found = inspect(dataset("cats", **shapes), **options)
    surveyed = found.surveyed["cats"]
    counted = [len(calendar_of([surveyed], surveyed.around).plan(epoch)) for epoch in range(7)]
    assert len(set(counted)) > 1
    assert found.report.steps == sum(counted)


@pytest.mark.parametrize("seed", [0, -1])
def test_a_seed_that_is_drawn_later_changes_nothing_here(inspect: Inspect, tmp_path: Path, seed: int) -> None:
    write_scenes(tmp_path / "cats", ["a.png", "b.png"], (90, 64))
    crops = []
    for chosen in (seed, 42):
        found = inspect(dataset("cats", crop=True), seed=chosen)
        crops.append([entry.crop for entry in found.surveyed["cats"].arrangement.entries])
    assert crops[0] == crops[1]
