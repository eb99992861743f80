"""What others may read of a configuration."""

from __future__ import annotations

import json
from pathlib import Path

from simpletuner.observe.publish.shareable import scrub_of, shared_config
from tests.observe.publish.conftest import Loading

SECRET = "canary-0123456789"


def test_no_secret_and_no_home_is_shared(loading: Loading) -> None:
    store = {"provider": "s3", "bucket": "b", "access_key": "a-key-of-ours", "secret_key": SECRET}
    hook = {"webhook_type": "raw", "webhook_url": f"https://example.org/{SECRET}", "auth_token": SECRET}
    loaded = loading(
        publishing_config=json.dumps(store),
        webhook_config=json.dumps([hook]),
        model_card_note=f"by canary-9876543210 and {SECRET}",
        push_to_hub="true",
        output_dir=str(Path.home() / "runs" / "fox"),
    )
    text = shared_config(loaded)
    assert "canary" not in text
    assert "a-key-of-ours" not in text
    content = json.loads(text)
    assert content["publishing_config"] == content["webhook_config"] == "***"
    assert content["model_card_note"] == "by *** and ***"
    assert content["output_dir"] == "~/runs/fox"
    assert (content["learning_rate"], content["optimizer"]) == (0.001, "adamw_bf16")
    assert scrub_of(loaded)(f"x {SECRET} hf_abcdefghijklmnopqrst") == "x *** ***"


def test_a_path_is_told(loading: Loading, tmp_path: Path) -> None:
    (tmp_path / "config" / "hooks.json").write_text("[]")
    assert json.loads(shared_config(loading(webhook_config="hooks.json")))["webhook_config"] == "hooks.json"
