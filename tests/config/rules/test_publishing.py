"""Options of publishing: the repository's name, and what does not go together."""

from __future__ import annotations

from typing import Any

import pytest

from simpletuner.config.rules.publishing import repository
from simpletuner.core.errors import ConfigError


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("owner/my-model", "owner/my-model"),
        ("my-model", "my-model"),
        ("https://huggingface.co/owner/my-model", "owner/my-model"),
        ("https://huggingface.co/owner/my-model/", "owner/my-model"),
        ("https://huggingface.co/owner/my-model/tree/main", "owner/my-model"),
        ("http://127.0.0.1:8080/owner/my_model.v2", "owner/my_model.v2"),
    ],
)
def test_a_url_is_reduced_to_its_name(project: Any, given: str, name: str) -> None:
    assert repository(project.load(push_to_hub="true", hub_model_id=given).config) == name


@pytest.mark.parametrize(
    ("project_name", "name"), [("simpletuner", "simpletuner"), ("my fox, red!", "my-fox-red"), ("a--b..c", "a-b-c")]
)
def test_without_a_name_it_is_the_projects(project: Any, project_name: str, name: str) -> None:
    assert repository(project.load(push_to_hub="true", tracker_project_name=project_name).config) == name


def test_its_former_name_is_told(project: Any) -> None:
    loaded = project.load(push_to_hub="true", hub_model_name="owner/fox")
    assert loaded.config.publishing.hub_model_id == "owner/fox"
    assert "hub_model_name is now called hub_model_id" in loaded.notices


@pytest.mark.parametrize("wrong", ["a/b/c", "owner/my model", "-fox", "a--b", "owner/x.git", "o/" + "x" * 95])
def test_a_name_that_the_hub_refuses_is_told_now(project: Any, wrong: str) -> None:
    with pytest.raises(ConfigError, match="hub_model_id"):
        project.load(push_to_hub="true", hub_model_id=wrong)


def test_a_name_is_nobodys_business_without_an_upload(project: Any) -> None:
    loaded = project.load(hub_model_id="a/b/c", model_card_private="false")
    assert "not read: hub_model_id, model_card_private (push_to_hub is off)" in loaded.notices


def test_checkpoints_alone_are_not_uploaded_in_silence(project: Any) -> None:
    with pytest.raises(ConfigError, match="push_to_hub only"):
        project.load(push_checkpoints_to_hub="true")


def test_what_has_no_reader_is_told(project: Any) -> None:
    told = project.load(push_to_hub="true", push_to_hub_background="true").notices
    assert any(line.startswith("not read: push_to_hub_background") for line in told)


def test_a_script_after_an_upload_knows_where_to(project: Any) -> None:
    project.load(post_upload_script="./tell.sh {remote_checkpoint_path} {huggingface_path} {global_step}")
    with pytest.raises(ConfigError, match="nothing is called"):
        project.load(post_upload_script="./tell.sh {remote}")
    with pytest.raises(ConfigError, match="post_upload_script"):
        project.load(post_checkpoint_script="./tell.sh {huggingface_path}")


@pytest.mark.parametrize(
    ("given", "comment"),
    [("one line", "one line"), (["one", "two, three"], "one\ntwo, three"), ('["one", "two"]', "one\ntwo")],
)
def test_a_comment_may_be_a_list_of_lines(project: Any, given: Any, comment: str) -> None:
    project.set(modelspec_comment=given)
    assert project.load().config.publishing.modelspec_comment == comment
