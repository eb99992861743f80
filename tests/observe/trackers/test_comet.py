"""Comet itself, offline, in its process; what it wrote is read."""

from __future__ import annotations

import json
import logging
import zipfile
from pathlib import Path

import pytest

from tests.observe.trackers.conftest import Tell, require_package


def test_numbers_curves_and_pictures_are_kept(tell: Tell, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    require_package("comet_ml")
    with caplog.at_level(logging.WARNING):
        tell("comet_ml")
    assert caplog.text == ""
    (archive,) = (tmp_path / "comet_ml").glob("*.zip")
    with zipfile.ZipFile(archive) as opened:
        messages = [json.loads(line)["payload"] for line in opened.read("messages.json").splitlines()]
        experiment = json.loads(opened.read("experiment.json"))
    assert (experiment["offline_id"], experiment["project_name"]) == ("ab" * 16, "my project")
    metrics = {
        (one["metric"]["metricName"], one["metric"]["step"]): one["metric"]["metricValue"]
        for one in messages
        if "metric" in one
    }
    assert metrics["train_loss", 1] == 0.515625
    assert metrics["loss/val/held", 2] == 1.0
    assert ("nothing", 1) not in metrics
    told = json.dumps(messages)
    for expected in ("cat - 64x48", "chart/loss/val/held", "my run", '"rank"'):
        assert expected in told, expected
    assert "chart/loss/val/held/0.125" not in told
