"""The adapter of a run, laid from its options."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simpletuner.assemble.stage import set_stage
from simpletuner.assemble.training.adapter import lay_adapter
from simpletuner.core.errors import ConfigError
from simpletuner.core.events import Event, Notice
from tests.assemble.conftest import LYCORIS, dataset, loaded_run, write_scenes
from tests.models.omnigen.tiny_model import random_omnigen

WORDS = '"Attention",\n            "FeedForward"'


@pytest.mark.parametrize("left_out", [False, True])
def test_a_class_that_is_adapted_though_no_target_means_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, left_out: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    write_scenes(tmp_path / "cats", ["a.png"])
    if left_out:
        recipe = LYCORIS.read_text(encoding="utf-8")
        assert WORDS in recipe
        (tmp_path / "own.json").write_text(recipe.replace(WORDS, '"Attention"'), encoding="utf-8")
    heard: list[Event] = []
    options = {"lycoris_config": "own.json"} if left_out else {}
    stage = set_stage(loaded_run(tmp_path, [dataset("cats")], **options), None, heard.append)
    laid = lay_adapter(stage, random_omnigen().requires_grad_(requires_grad=False))
    assert len(laid.adapter.parameters_by_path()) == 2 * (4 + 2), "as LyCORIS does, with that word or without it"
    told = [event.text for event in heard if isinstance(event, Notice) and "not in target_module" in event.text]
    assert [text.split(" is in ")[0] for text in told] == (["lycoris_config: FeedForward"] if left_out else [])


def test_a_layer_that_a_method_cannot_be_laid_over_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_scenes(tmp_path / "cats", ["a.png"])
    content = {"algo": "tlora", "multiplier": 1, "linear_dim": 4, "linear_alpha": 4}
    (tmp_path / "own.json").write_text(json.dumps(content), encoding="utf-8")
    stage = set_stage(loaded_run(tmp_path, [dataset("cats")], lycoris_config="own.json"), None, lambda event: None)
    with pytest.raises(ConfigError, match=r"own\.json: algo: .* is a convolution"):
        lay_adapter(stage, random_omnigen())
