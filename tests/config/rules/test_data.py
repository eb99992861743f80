from __future__ import annotations

import json
from typing import Any

import pytest


def mask(kind: str) -> dict[str, Any]:
    keys = {"dataset_type": "conditioning", "conditioning_type": kind, "instance_data_dir": "datasets"}
    return {"id": "partners", "type": "local", **keys}


@pytest.mark.parametrize(
    ("option", "needed", "told"),
    [
        ({"masked_loss_probability": 0.5}, "segmentation", "not read: masked_loss_probability"),
        ({"validation_using_datasets": True}, "reference_loose", "validation_using_datasets draws nothing"),
    ],
)
def test_options_that_wait_for_partners(project: Any, option: dict[str, Any], needed: str, told: str) -> None:
    project.set(**option)
    for kind, is_told in (("mask", True), (needed, False)):
        project.entries(project.entry(conditioning_data="partners"), mask(kind))
        assert any(told in notice for notice in project.load().notices) is is_told
    project.entries(project.entry())
    assert any(told in notice for notice in project.load().notices)


def test_regularisation_alone_teaches_nothing(project: Any) -> None:
    regular = project.entry(is_regularisation_data=True)
    assert any("every data set is regularisation data" in notice for notice in project.told(regular))
    assert project.told(regular, project.entry(id="mine")) == []


def test_a_weight_is_no_chance(project: Any) -> None:
    assert project.told(project.entry(probability=1)) == []
    (told,) = project.told(project.entry(probability=2.5))
    assert told == "probability above 1: cats (2.5): it is a weight beside the other data sets, not a chance"


def test_texts_of_the_document_are_worth_a_look(project: Any) -> None:
    library = {"anime_<token>": "a portrait of <token>", "plain": "a cat", "nickname": "the prompt goes here"}
    (project.root / "config/user_prompt_library.json").write_text(json.dumps(library))
    project.set(user_prompt_library="config/user_prompt_library.json")
    assert [notice for notice in project.load().notices if notice.startswith("worth a look")] == [
        "worth a look: instance_prompt of dreambooth-subject, dreambooth-subject-512 still says "
        "'the name of your subject goes here', and is trained as it stands",
        "worth a look: prompts are drawn as they stand, with '<token>' in them: anime_<token>, nickname",
    ]
    more = {f"scene_{number}": "<token> at sea" for number in range(5)}
    (project.root / "config/user_prompt_library.json").write_text(json.dumps(more))
    assert project.load().notices[-1].endswith("in them: scene_0, scene_1, scene_2 and 2 more")
    project.set(validation_disable=True)
    assert not any("prompts are drawn" in notice for notice in project.load().notices)


def test_a_text_of_the_document_that_is_not_trained_is_passed_over(project: Any) -> None:
    entry = project.entry(instance_prompt="the name of your subject goes here", caption_strategy="filename")
    assert project.told(entry) == ["data set cats: not read: instance_prompt (caption_strategy is filename)"]
