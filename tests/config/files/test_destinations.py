"""Stores of `publishing_config`: every form they are written in, every mistake at once, no secret repeated."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simpletuner.config.files.destinations import Destination
from simpletuner.core.errors import ConfigError

SECRET = "canary-0123456789"
S3 = {"provider": "s3", "bucket": "runs", "access_key": "key", "secret_key": SECRET, "base_path": "/fox/"}


def read(project: Any, value: Any, **environ: str) -> tuple[Destination, ...]:
    project.set(publishing_config=value)
    found: tuple[Destination, ...] = project.load(environ=environ).destinations
    return found


def refused(project: Any, value: Any) -> str:
    project.set(publishing_config=value)
    with pytest.raises(ConfigError) as caught:
        project.load()
    assert SECRET not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("given", [None, "", []])
def test_no_store_is_the_default(project: Any, given: Any) -> None:
    assert read(project, given) == ()


@pytest.mark.parametrize("written", ["object", "list", "inline", "file"])
def test_every_form_is_the_same_store(project: Any, written: str) -> None:
    content: Any = [S3] if written == "list" else S3
    if written == "file":
        (project.root / "config" / "stores.json").write_text(json.dumps(content))
        content = "stores.json"
    elif written == "inline":
        content = json.dumps(content)
    (store,) = read(project, content)
    assert (store.provider, store.where, store.place) == ("s3", "s3://runs/fox", {"bucket": "runs"})
    assert store.secrets["secret_key"].get_secret_value() == SECRET
    assert SECRET not in repr(store)


def test_variables_and_addresses(project: Any) -> None:
    given = {"provider": "backblaze_b2", "bucket": "b", "region": "us-west-004", "access_key": "k"}
    given |= {"secret_key": "{env:B2}", "public_base_url": "https://cdn.example.org/"}
    (store,) = read(project, given, B2=SECRET)
    assert store.place["endpoint_url"] == "https://s3.us-west-004.backblazeb2.com"
    assert store.secrets["secret_key"].get_secret_value() == SECRET
    assert store.shown_as("a.txt") == "https://cdn.example.org/a.txt"


def test_other_providers(project: Any) -> None:
    azure, dropbox = read(
        project,
        [
            {"provider": "azure", "connection_string": SECRET, "container": "runs"},
            {"provider": "dropbox", "token": SECRET, "base_path": "fox"},
        ],
    )
    assert (azure.provider, azure.where) == ("azure_blob", "abfs://runs")
    assert (dropbox.where, dropbox.shown_as("x")) == ("dropbox://fox", "dropbox://fox/x")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"provider": "ftp"}, "provider: 'ftp' is no provider"),
        ({"bucket": "b"}, "publishing_config.provider: is missing"),
        ({"provider": "s3"}, "publishing_config.bucket: is missing"),
        ([{**S3, "bukket": "x"}], "publishing_config[0].bukket: s3 has no such key"),
        ({**S3, "bucket": 5}, "must be text"),
        ({**S3, "access_key": ""}, "without the other half"),
        ({**S3, "endpoint_url": f"{SECRET}.example.org"}, "is no address"),
        ({"provider": "backblaze_b2", **{k: v for k, v in S3.items() if k != "provider"}}, "region: is missing"),
        ("https://" + SECRET, "neither a path nor JSON"),
        ('{"secret_key": "' + SECRET + '"', "no valid JSON"),
        ('["s3"]', "is an object in braces"),
    ],
)
def test_mistakes_are_told_without_secrets(project: Any, given: Any, told: str) -> None:
    assert told in refused(project, given)
