"""Receivers of a run: every form they are written in, every mistake told at the start, no secret repeated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simpletuner.config.files.webhooks import Webhook
from simpletuner.core.errors import ConfigError

SECRET = "canary-0123456789"
DISCORD = {"webhook_type": "discord", "webhook_url": f"https://discord.com/api/webhooks/1/{SECRET}"}
RAW = {"webhook_type": "raw", "callback_url": f"http://127.0.0.1:8001/{SECRET}", "auth_token": SECRET}


def read(project: Any, value: Any, **environ: str) -> tuple[Webhook, ...]:
    project.set(webhook_config=value)
    webhooks: tuple[Webhook, ...] = project.load(environ=environ).webhooks
    return webhooks


def refused(project: Any, value: Any) -> str:
    project.set(webhook_config=value)
    with pytest.raises(ConfigError) as caught:
        project.load()
    assert SECRET not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("given", [None, "", "  ", []])
def test_no_receiver_is_the_default(project: Any, given: Any) -> None:
    assert read(project, given) == ()


@pytest.mark.parametrize("written", ["object", "list", "inline", "inline list", "file", "file of a list"])
def test_every_form_is_the_same_receiver(project: Any, written: str) -> None:
    content: Any = [DISCORD] if "list" in written else DISCORD
    if "file" in written:
        (project.root / "config" / "hooks.json").write_text(json.dumps(content))
        content = "hooks.json"
    elif "inline" in written:
        content = json.dumps(content)
    (webhook,) = read(project, content)
    assert (webhook.kind, webhook.url.get_secret_value()) == ("discord", DISCORD["webhook_url"])
    assert (webhook.log_level, webhook.prefix, webhook.verify, webhook.allow_private) == ("info", None, True, False)


def test_the_command_line_takes_json(project: Any) -> None:
    (webhook,) = project.load(webhook_config=json.dumps(RAW)).webhooks
    assert webhook.url.get_secret_value() == RAW["callback_url"]


def test_several_receivers_with_everything_said(project: Any) -> None:
    more = {"message_prefix": "", "log_level": "warning", "ssl_no_verify": "true", "allow_private": True, "__note": 1}
    raw, discord = read(project, [RAW, DISCORD | more])
    assert raw.auth_token is not None
    assert raw.auth_token.get_secret_value() == SECRET
    assert (discord.prefix, discord.log_level, discord.verify, discord.allow_private) == ("", "warning", False, True)


def test_the_environment_gives_secrets_and_switches_verification_off(project: Any) -> None:
    entry = {"webhook_type": "raw", "webhook_url": "https://example.org/{env:HOOK}", "auth_token": "{env:HOOK}"}
    (project.root / "config" / "hooks.json").write_text(json.dumps(entry))
    (webhook,) = read(project, "hooks.json", HOOK=SECRET, SIMPLETUNER_SSL_NO_VERIFY="true")
    assert webhook.url.get_secret_value() == f"https://example.org/{SECRET}"
    assert not webhook.verify
    with pytest.raises(ConfigError, match="SIMPLETUNER_SSL_NO_VERIFY"):
        read(project, "hooks.json", SIMPLETUNER_SSL_NO_VERIFY="perhaps")


def test_no_secret_is_shown(project: Any) -> None:
    project.set(webhook_config=[RAW, DISCORD])
    loaded = project.load()
    shown = f"{loaded.webhooks} {loaded.config} {loaded.config.model_dump_json()}"
    assert SECRET not in shown
    assert [webhook.place for webhook in loaded.webhooks] == [
        "raw webhook at 127.0.0.1:8001",
        "discord webhook at discord.com",
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"webhook_type": None}, "webhook_type: is missing"),
        ({"webhook_type": "slack"}, "'slack' is no kind of webhook"),
        ({"webhook_url": None}, "webhook_url: is missing: a discord webhook needs it"),
        ({"webhook_url": None, "callback_url": "https://example.org"}, "a discord webhook needs it"),
        ({"webhook_type": "raw", "callback_url": "https://example.org"}, "differs from webhook_url"),
        ({"webhook_url": f"ftp://example.org/{SECRET}"}, "begins with 'ftp'"),
        ({"webhook_url": f"file:///{SECRET}"}, "is no URL"),
        ({"webhook_url": f"https://exa mple.org/{SECRET}"}, "is no URL"),
        ({"webhook_url": f"https://example.org:99999/{SECRET}"}, "is no URL"),
        ({"webhook_url": 7}, "is no URL"),
        ({"webhook_url": f"https://user:{SECRET}@example.org/"}, "a user name or a password"),
        ({"webhook_url": f"https://exämple.org/{SECRET}"}, "names no host"),
        ({"webhook_url": f"https://a..b/{SECRET}"}, "names no host"),
        ({"webhook_url": f"https://[::1%eth0]/{SECRET}"}, "names no host"),
        ({"webhook_url": f"https://[::1/{SECRET}"}, "is no URL"),
        ({"webhook_url": f"https://example.org/{SECRET * 200}"}, "is no URL"),
        ({"webhook_url": "http://localhost:8001/"}, "write 127.0.0.1"),
        ({"webhook_url": "http://10.0.0.7/"}, "10.0.0.7 is a private address"),
        ({"webhook_url": "http://169.254.169.254/latest"}, "is a private address"),
        ({"webhook_url": "http://[fe80::1]/"}, "is a private address"),
        ({"log_level": "loud"}, "'loud' is no level"),
        ({"ssl_no_verify": "perhaps"}, "neither on nor off"),
        ({"message_prefix": 7}, "message_prefix: must be text"),
        ({"auth_token": f"{SECRET}\n"}, "no http header can hold"),
        ({"webhok_url": "https://example.org"}, "did you mean 'webhook_url'?"),
    ],
)
def test_every_mistake_names_its_key(project: Any, change: dict[str, Any], told: str) -> None:
    assert told in refused(project, DISCORD | change)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (f'{{"webhook_type": "raw", "webhook_url": "{SECRET}"', "is no valid JSON"),
        (f"https://discord.com/api/webhooks/1/{SECRET}", "neither a path nor JSON"),
        ("nowhere.json", "there is no file 'nowhere.json'"),
        ([[DISCORD]], "an object in braces"),
        ("7", "there is no file"),
    ],
)
def test_what_is_no_webhook_at_all(project: Any, value: Any, told: str) -> None:
    assert told in refused(project, value)


def test_a_damaged_file_is_named_with_its_line(project: Any) -> None:
    file: Path = project.root / "config" / "hooks.json"
    file.write_text('{"webhook_type": "raw",}')
    assert "hooks.json: a comma before" in refused(project, "hooks.json")
    file.write_text(json.dumps([RAW, DISCORD | {"log_level": "loud"}]))
    assert "hooks.json: [1].log_level" in refused(project, "hooks.json")


def test_a_private_address_that_is_allowed(project: Any) -> None:
    (webhook,) = read(project, RAW | {"callback_url": "http://localhost:1/x", "allow_private": True})
    assert webhook.allow_private
