from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from simpletuner.assemble.configure.answers import Answers
from simpletuner.assemble.configure.existing import Existing, files_held, given_by, merged, read_existing, roles_of
from simpletuner.assemble.configure.files import CONFIG, DATALOADER, LYCORIS, files_of
from simpletuner.assemble.configure.suggest import Facts, complete
from simpletuner.assemble.configure.target import find_target
from simpletuner.assemble.configure.trial import Trial
from simpletuner.core.errors import ConfigError
from simpletuner.core.files import write_json
from tests.assemble.configure.conftest import answers

DOCUMENT = Path(__file__).parents[2] / "fixtures" / "document"


@pytest.fixture
def document(place: Path) -> Path:
    """The document's three files in their places."""
    (place / "config" / "omnigen").mkdir(parents=True)
    shutil.copy(DOCUMENT / "config.json", place / "config")
    shutil.copy(DOCUMENT / "lycoris_config.json", place / "config")
    shutil.copy(DOCUMENT / "multidatabackend.json", place / "config" / "omnigen")
    (place / "datasets" / "pseudo-camera-10k").mkdir(parents=True)
    return place


def held(trial: Trial) -> tuple[Answers, Existing]:
    """The answers of what is there."""
    existing = read_existing(trial.target, trial.cwd)
    loaded = trial.load(files_held(existing, trial.cwd, trial.folder))
    return complete(given_by(loaded, existing), Facts()), existing


def changed(made: Answers, **given: Any) -> Answers:
    return Answers(**(vars(made) | given))


def test_the_answers_of_the_document(document: Path, trial: Trial) -> None:
    found, existing = held(trial)
    assert existing.paths[DATALOADER] == document / "config/omnigen/multidatabackend.json"
    assert existing.paths[LYCORIS] == document / "config/lycoris_config.json"
    assert (found.pictures, found.captions, found.words) == (
        "datasets/dreambooth-subject",
        "instanceprompt",
        "the name of your subject goes here",
    )
    assert (found.resolution, found.crop, found.repeats, found.batch) == ("both", "keep", 1000, 1)
    assert (found.adapter, found.factor, found.steps, found.learning_rate) == ("lokr", "16/8", 10_000, 4e-5)
    assert (found.previews, found.draw, found.output, found.hub) == (200, "1024x1024", "output/models-omnigen", "")


def test_unchanged_answers_change_nothing(document: Path, trial: Trial) -> None:
    found, existing = held(trial)
    files = merged(found, found, existing)
    assert files[CONFIG] == json.loads((document / "config/config.json").read_text())
    assert files[DATALOADER] == json.loads((document / "config/omnigen/multidatabackend.json").read_text())
    assert files[LYCORIS] == json.loads((document / "config/lycoris_config.json").read_text())


def test_only_what_the_answers_change_is_changed(document: Path, trial: Trial) -> None:
    found, existing = held(trial)
    files = merged(changed(found, steps=300, card="8", words="blip", factor="32"), found, existing)
    before = dict(existing.options)
    assert {key for key in files[CONFIG] if files[CONFIG][key] != before.get(key)} == {
        *("max_train_steps", "lr_warmup_steps", "checkpoint_step_interval", "base_model_precision", "quantize_via"),
        "vae_enable_tiling",
    }
    assert files[CONFIG]["learning_rate"] == "4e-5"
    assert [entry.get("instance_prompt") for entry in files[DATALOADER]] == [None, "blip", "blip", None]
    assert files[DATALOADER][0] == existing.entries[0] if existing.entries else False
    assert files[LYCORIS]["factor"] == 32
    (document / "datasets" / "dreambooth-subject").mkdir()
    trial.load(files)


def test_a_data_set_that_is_no_longer_wanted_goes_and_a_new_one_comes(document: Path, trial: Trial) -> None:
    found, existing = held(trial)
    files = merged(changed(found, resolution="1024", held_out="dogs"), found, existing)
    assert [entry["id"] for entry in files[DATALOADER]] == [
        "pseudo-camera-10k-omnigen",
        "dreambooth-subject",
        "text-embeds",
        "dreambooth-subject-held-out",
    ]
    assert files[CONFIG]["eval_steps_interval"] == 200


def test_another_kind_of_adapter(document: Path, trial: Trial) -> None:
    found, existing = held(trial)
    files = merged(changed(found, adapter="lora", rank=8), found, existing)
    assert LYCORIS not in files
    assert "lycoris_config" not in files[CONFIG]
    assert (files[CONFIG]["lora_type"], files[CONFIG]["lora_rank"]) == ("standard", 8)
    (document / "datasets" / "dreambooth-subject").mkdir()
    trial.load(files)


def test_unknown_options_are_left_out_and_named(place: Path) -> None:
    target = find_target(None, place)
    write_json(target.file, {"--max-train-steps": 5, "learning_rat": 1, "__note": "mine"})
    existing = read_existing(target, place)
    assert existing.unknown == ("learning_rat",)
    assert existing.options == {"--max-train-steps": 5, "__note": "mine"}


def test_keys_with_dashes_keep_them(place: Path) -> None:
    existing = Existing({"--max_train_steps": 5}, [], {}, {})
    files = merged(answers(steps=900), answers(steps=5), existing)
    assert files[CONFIG]["--max_train_steps"] == 900
    assert "max_train_steps" not in files[CONFIG]
    assert place.is_dir()


def test_nothing_there(place: Path) -> None:
    existing = read_existing(find_target(None, place), place)
    assert (existing.options, existing.entries, existing.lycoris) == ({}, None, None)
    assert existing.paths[DATALOADER] == place / "config" / DATALOADER
    assert merged(answers(), None, existing) == files_of(answers())


def test_a_dataloader_file_that_is_none(place: Path) -> None:
    target = find_target(None, place)
    write_json(target.file, {})
    write_json(target.folder / DATALOADER, {"id": "x"})
    with pytest.raises(ConfigError, match="list of objects"):
        read_existing(target, place)


def test_roles() -> None:
    entries = [
        {"dataset_type": "text_embeds"},
        {"is_regularisation_data": True, "instance_data_dir": "a"},
        {"type": "aws"},
        {"instance_data_dir": "b"},
        {"dataset_type": "eval"},
        {"instance_data_dir": "c"},
        {"instance_data_dir": "b"},
    ]
    assert roles_of(entries) == {"text": 0, "main": 3, "held_out": 4, "second": 6}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"base_model_precision": "int8-quanto"}, {"card": "10"}),
        ({"base_model_precision": "int8-quanto", "train_batch_size": 1}, {"card": "8"}),
        ({"mixed_precision": "no"}, {"card": "cpu"}),
        ({"train_batch_size": 2}, {"card": "16"}),
        ({"train_batch_size": 1, "vae_enable_tiling": True}, {"card": "12"}),
        ({"train_batch_size": 5}, {"card": "48"}),
        ({"base_model_precision": "int8-quanto", "musubi_blocks_to_swap": 4}, {"card": "6"}),
        ({"model_type": "full"}, {"adapter": "other"}),
        ({"validation_disable": True}, {"previews": 0}),
    ],
)
def test_what_a_configuration_says(trial: Trial, more: dict[str, Any], expected: dict[str, Any]) -> None:
    # The files of one wizard are read by the next one.
    for name, content in files_of(answers(card="24", batch=3, captions="filename", more=more)).items():
        write_json(trial.target.folder / name, content)
    found, _existing = held(trial)
    assert vars(found).items() >= expected.items()


@pytest.mark.parametrize(
    "given",
    [
        {"resolution": "both", "held_out": "dogs", "hub": "me/cats", "reports": "none"},
        {"resolution": "64", "card": "24", "batch": 6},
        {"resolution": "768", "crop": "square", "captions": "filename", "words": "flat", "factor": "32"},
        {"adapter": "lora", "rank": 4, "devices": 2, "card": "48", "batch": 6, "steps": 77},
    ],
)
def test_what_the_wizard_wrote_it_reads(trial: Trial, given: dict[str, Any]) -> None:
    wrote = answers(**given)
    for name, content in files_of(wrote).items():
        write_json(trial.target.folder / name, content)
    found, existing = held(trial)
    assert {name: vars(found)[name] for name in given} == given
    assert merged(found, found, existing) == files_of(wrote)
