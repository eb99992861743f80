from __future__ import annotations

import json

from simpletuner.observe.told import told_settings
from simpletuner.observe.webhook.secrets import scrubber
from tests.observe.conftest import run_config


def test_every_option_is_told_and_no_secret() -> None:
    config = run_config(
        webhook_config='{"webhook_url": "https://example.org/canary-path"}',
        tracker_run_name="run with canary-token-123 in it",
        output_dir="out",
    )
    told = told_settings(config, scrubber({"HF_TOKEN": "canary-token-123"}))
    assert told["learning_rate"] == 1e-3
    assert told["tracker_image_layout"] == "gallery"
    assert told["webhook_config"] == "***"
    assert told["tracker_run_name"] == "run with *** in it"
    assert "canary" not in json.dumps(told)
