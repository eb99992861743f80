from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simpletuner.assemble.configure.answers import CHOICES, Answers
from simpletuner.assemble.configure.files import entries_of, files_of, lycoris_of, name_of, options_of
from simpletuner.assemble.configure.trial import Trial
from simpletuner.cli.main import run
from simpletuner.core.files import write_json
from tests.assemble.configure.conftest import answers

TEXTS = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=30).map(str.strip)
EVERY = st.builds(
    Answers,
    card=st.sampled_from(CHOICES["card"]),
    devices=st.integers(1, 4),
    teach=st.sampled_from(CHOICES["teach"]),
    pictures=st.just("cats"),
    captions=st.sampled_from(["filename", "instanceprompt"]),
    words=TEXTS.map(lambda text: text or "blip"),
    resolution=st.sampled_from(["both", "512", "1024", "64", "100"]),
    crop=st.sampled_from(CHOICES["crop"]),
    batch=st.integers(1, 9),
    repeats=st.integers(0, 1000),
    adapter=st.sampled_from(["lokr", "lora"]),
    factor=st.sampled_from(["16/8", "4", "25", "64", "7/3"]),
    rank=st.integers(1, 128),
    steps=st.integers(1, 20_000),
    learning_rate=st.floats(1e-8, 1.0),
    prompt=TEXTS,
    previews=st.integers(0, 1000),
    draw=st.sampled_from(["1024x1024", "64x64,128x64", "1"]),
    held_out=st.sampled_from(["", "dogs"]),
    output=st.sampled_from(["output/cats", "results"]),
    reports=st.sampled_from(["tensorboard", "none", "simpletuner"]),
    hub=st.just(""),
    more=st.dictionaries(st.sampled_from(["use_ema", "vae_cache_ondemand"]), st.booleans()),
)


@given(EVERY)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_any_answers_give_files_that_the_loader_takes(trial: Trial, made: Answers) -> None:
    loaded = trial.load(files_of(made))
    assert loaded.config.length.train_batch_size == made.batch
    assert loaded.datasets[0].instance_data_dir == trial.cwd / "cats"
    assert {int(dataset.resolution) for dataset in loaded.datasets} == set(made.edges)
    assert loaded.config.report.output_dir == made.output
    assert (loaded.lycoris is None) == (made.adapter == "lora")


@given(EVERY)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=8)
def test_check_finds_that_they_can_train(place: Path, made: Answers) -> None:
    # An earlier example's LyCORIS file may lie there: an adapter of another kind does not read it.
    for name, content in files_of(made).items():
        write_json(place / "config" / name, content)
    assert run(["check"]) == 0


def test_the_documents_adapter() -> None:
    document = Path(__file__).parents[2] / "fixtures" / "document" / "lycoris_config.json"
    assert document.read_text(encoding="utf-8").split() == json.dumps(lycoris_of(answers()), indent=4).split()


@pytest.mark.parametrize(
    ("folder", "name"),
    [("datasets/My Cat!", "my-cat"), ("/", "pictures"), ("猫", "pictures"), ("~/a.b/", "a-b"), ("x" * 99, "x" * 60)],
)
def test_a_data_set_is_named_by_its_folder(folder: str, name: str) -> None:
    assert name_of(folder) == name


def test_two_sizes_of_one_folder_and_pictures_held_out() -> None:
    entries = entries_of(answers(resolution="both", held_out="dogs", words="blip", captions="filename"))
    assert list(entries) == ["main", "second", "held_out", "text"]
    assert [entry.get("resolution") for entry in entries.values()] == [1024, 512, 1024, None]
    assert entries["held_out"]["dataset_type"] == "eval"
    assert entries["held_out"]["instance_data_dir"] == "dogs"
    assert "repeats" not in entries["held_out"]
    assert entries["main"]["prepend_instance_prompt"] is True
    assert len({entry["id"] for entry in entries.values()}) == 4


@pytest.mark.parametrize(
    ("resolution", "crop", "alignment"),
    [("64", "keep", 16), ("256", "keep", 16), ("512", "keep", None), ("both", "keep", None), ("64", "square", None)],
)
def test_small_pictures_keep_their_shapes(resolution: str, crop: str, alignment: int | None) -> None:
    entries = entries_of(answers(resolution=resolution, crop=crop))
    assert entries["main"].get("aspect_bucket_alignment") == alignment


def test_what_is_not_asked_for_is_not_written() -> None:
    options = options_of(answers(prompt="", hub="", adapter="lora", rank=8))
    assert options["validation_disable"] is True
    assert "validation_prompt" not in options
    assert "push_to_hub" not in options
    assert "lycoris_config" not in options
    assert options["lora_rank"] == 8
    assert "num_processes" not in options


def test_an_option_of_its_own_wins() -> None:
    assert options_of(answers(more={"optimizer": "bnb-lion8bit-paged"}))["optimizer"] == "bnb-lion8bit-paged"
    options = options_of(answers(hub="me/cats", devices=2, held_out="dogs", previews=70))
    assert (options["push_to_hub"], options["hub_model_id"], options["num_processes"]) == (True, "me/cats", 2)
    assert options["eval_steps_interval"] == 70


@pytest.mark.parametrize(("steps", "warm_up", "save"), [(1, 0, 1), (100, 10, 25), (10_000, 100, 500)])
def test_short_runs_are_saved_too(steps: int, warm_up: int, save: int) -> None:
    options = options_of(answers(steps=steps))
    assert (options["lr_warmup_steps"], options["checkpoint_step_interval"]) == (warm_up, save)
