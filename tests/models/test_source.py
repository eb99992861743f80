"""Which commit a name means: asked of a hub on this machine, or of what was fetched before."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import constants
from pytest_httpserver import HTTPServer

from simpletuner.core.errors import ConfigError
from simpletuner.models.source import HubCommit, find_commit
from tests.models.hub_cache import NEW, OLD, move

PLACE = "/api/models/some/where"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the hub's client keeps its files; nothing is in it."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def hub(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> HTTPServer:
    """A hub that answers, and knows nothing yet."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", httpserver.url_for("").rstrip("/"))
    return httpserver


def test_a_commit_is_itself_and_nobody_is_asked(hub: HTTPServer) -> None:
    assert find_commit("some/where", OLD) == OLD
    assert hub.log == []


def test_the_hub_says_where_a_branch_is_now(hub: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.expect_request("/", "HEAD").respond_with_data("")
    hub.expect_request(PLACE).respond_with_json({"id": "some/where", "sha": NEW})
    hub.expect_request("/", "HEAD").respond_with_data("")
    hub.expect_request(f"{PLACE}/revision/v1").respond_with_json({"id": "some/where", "sha": OLD})
    assert [find_commit("some/where", revision) for revision in (None, "v1")] == [NEW, OLD]
    asked = len(hub.log)
    # What the hub said stands in the cache, for when it cannot be asked.
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert [find_commit("some/where", revision) for revision in (None, "main", "v1")] == [NEW, NEW, OLD]
    assert len(hub.log) == asked


def test_what_was_fetched_before_needs_no_hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    move(cache, "some/where", OLD)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert find_commit("some/where", None) == OLD
    with pytest.raises(ConfigError, match=r"cannot load revision 'v1' of 'some/where': it was not .* http://127"):
        find_commit("some/where", "v1")


def test_a_revision_that_is_not_there_is_named(hub: HTTPServer) -> None:
    hub.expect_request("/", "HEAD").respond_with_data("")
    missing = {"X-Error-Code": "RevisionNotFound"}
    hub.expect_request(f"{PLACE}/revision/v9").respond_with_json({}, status=404, headers=missing)
    with pytest.raises(ConfigError, match="'some/where' has no revision 'v9'") as told:
        find_commit("some/where", "v9")
    assert told.value.key == "pretrained_model_revision"
    assert f"{hub.url_for('')}some/where/commits/main" in str(told.value.cure)


@pytest.mark.parametrize(
    ("repository", "said"),
    [("some/where", "has no such model, or none for you"), ("no/such/folder", "Repo id must")],
)
def test_a_model_that_is_not_there_is_named(hub: HTTPServer, repository: str, said: str) -> None:
    hub.expect_request("/", "HEAD").respond_with_data("")
    missing = {"X-Error-Code": "RepoNotFound"}
    hub.expect_request(f"/api/models/{repository}").respond_with_json({}, status=404, headers=missing)
    with pytest.raises(ConfigError, match=f"cannot load '{repository}': .*{said}") as told:
        find_commit(repository, None)
    assert told.value.key == "pretrained_model_name_or_path"


def test_messages_name_model_and_commit() -> None:
    assert str(HubCommit("some/where", OLD)) == f"some/where@{OLD}"
