from __future__ import annotations

import pytest

from simpletuner.observe.webhook.secrets import scrubber

ENVIRON = {
    "HF_TOKEN": "canary-hf-token",
    "AWS_SECRET_ACCESS_KEY": "canary/aws+secret",
    "WANDB_API_KEY": "canary-wandb-key",
    "DB_PASSWORD": "canary-pass.word",
    "TOKENIZERS_PARALLELISM": "false",
    "HOME": "/home/canary-is-no-secret",
}


@pytest.mark.parametrize("name", ["HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "WANDB_API_KEY", "DB_PASSWORD"])
def test_values_of_telling_names_are_hidden(name: str) -> None:
    assert scrubber(ENVIRON)(f"failed with {ENVIRON[name]}!") == "failed with ***!"


def test_other_values_stay() -> None:
    text = "false is in /home/canary-is-no-secret"
    assert scrubber(ENVIRON)(text) == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("hf_abcdefghijklmnop0123", "***"),
        ("key AKIAABCDEFGHIJKLMNOP", "key ***"),
        ("ghp_abcdefghijklmnopqrst01", "***"),
        ("https://discord.com/api/webhooks/12/ab-cd", "https://discord.com/api/webhooks/***"),
        ("https://user:pass@example.org/x", "https://***@example.org/x"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("a cat at http://example.org/cat.png", "a cat at http://example.org/cat.png"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, told: str) -> None:
    assert scrubber({})(text) == told


def test_every_text_of_a_value_is_looked_at() -> None:
    value = {"a": ["canary-extra", {"b": "x canary-extra"}], "n": 1, "none": None}
    assert scrubber({}, ["canary-extra", "short", ""])(value) == {"a": ["***", {"b": "x ***"}], "n": 1, "none": None}


def test_the_longer_of_two_secrets_is_hidden_whole() -> None:
    assert scrubber({"A_TOKEN": "canary-12", "B_TOKEN": "canary-1234"})("canary-1234") == "***"
