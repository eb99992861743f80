"""What a card is made of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simpletuner.observe.publish.facts import Base, Facts, base_of, last_metrics, newest_pictures, reported
from tests.observe.publish.conftest import Loading


def test_the_last_values_and_the_smoothed_loss(tmp_path: Path) -> None:
    records: list[object] = [{"step": step, "train_loss": float(step), "epoch": 1} for step in range(1, 101)]
    records += [{"step": 100, "loss/val/held": 0.5, "loss/val/held/se": 0.1}, ["odd"]]
    text = "\n".join(json.dumps(record) for record in records) + '\n{"step": 10'
    (tmp_path / "metrics.jsonl").write_text(text)
    found = last_metrics(tmp_path / "metrics.jsonl")
    weights = [0.98 ** (100 - step) for step in range(1, 101)]
    wanted = sum(step * weight for step, weight in enumerate(weights, 1)) / sum(weights)
    assert found["train_loss"] == pytest.approx(wanted)
    assert (found["loss/val/held"], found["loss/val/held/se"]) == (0.5, 0.1)
    assert last_metrics(tmp_path / "none") == {}


def test_the_report_by_its_data_sets(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(json.dumps({"datasets": [{"id": "a", "used": 3}], "problems": []}))
    assert reported(tmp_path / "report.json") == {"a": {"id": "a", "used": 3}}
    assert reported(tmp_path / "none") == {}


def test_the_newest_pictures_are_by_number_and_not_of_later(tmp_path: Path) -> None:
    for name in ("step_9_a_0_64x64.png", "step_10_b_0_64x64.png", "step_10_a_0_64x64.png", "step_30_a_0_64x64.png"):
        (tmp_path / name).touch()
    assert [path.name for path in newest_pictures(tmp_path, 29)] == ["step_10_a_0_64x64.png", "step_10_b_0_64x64.png"]
    assert newest_pictures(tmp_path, 8) == ()
    assert newest_pictures(tmp_path / "none", 8) == ()


def test_a_base_is_named_without_telling_where_it_lies(tmp_path: Path) -> None:
    assert base_of(tmp_path, is_default=False) == Base("")
    assert base_of(str(tmp_path), is_default=False).source == f"path/to/{tmp_path.name}"
    hub = base_of("Shitao/OmniGen-v1-diffusers", is_default=True)
    assert (hub.is_on_hub, hub.licence, hub.is_default) == (True, "mit", True)
    assert base_of("fox/my-omnigen", is_default=False).licence == "unknown"
    assert base_of("fox/my-omnigen", is_default=False, commit="ab" * 20).commit == "ab" * 20


@pytest.mark.parametrize(
    ("options", "kind", "algo"),
    [({}, "lycoris", "lokr"), ({"lora_type": "standard"}, "lora", ""), ({"model_type": "full"}, "full", "")],
)
def test_what_was_trained(loading: Loading, options: dict[str, str], kind: str, algo: str) -> None:
    facts = Facts("fox/x", Base(""), loading(**options), 4, 1)
    assert (facts.kind, facts.algo) == (kind, algo)
    assert facts.shown.prompt == "a red apple on a table"
