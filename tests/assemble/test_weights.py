from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from simpletuner.assemble.weights import choose_weights
from simpletuner.config.load import LoadedRun, load_run
from simpletuner.config.reading.find import Selection
from simpletuner.core.errors import ConfigError
from simpletuner.models.omnigen.layers import FACTS, TINY_FOLDER
from simpletuner.models.source import HubCommit


def example(tmp_path: Path, **overrides: str) -> LoadedRun:
    return load_run(Selection(example="emoji-style"), overrides, tmp_path, {})


@pytest.mark.parametrize(
    ("overrides", "source", "builtin"),
    [
        ({}, TINY_FOLDER, False),
        ({"model_flavour": "v1"}, "Shitao/OmniGen-v1-diffusers", True),
        ({"model_flavour": "v1", "pretrained_model_name_or_path": "tiny"}, TINY_FOLDER, False),
        ({"model_flavour": "v1", "pretrained_model_name_or_path": str(TINY_FOLDER)}, str(TINY_FOLDER), False),
        ({"model_flavour": "v1", "pretrained_model_name_or_path": "me/mine"}, "me/mine", True),
    ],
)
def test_weights_and_what_sampling_avoids(
    tmp_path: Path, overrides: dict[str, str], source: object, builtin: bool
) -> None:
    weights = choose_weights(example(tmp_path, **overrides), FACTS)
    assert (weights.source, weights.builtin_negative) == (source, builtin)


def test_of_a_hub_id_a_revision_is_kept_and_a_commit_is_loaded(tmp_path: Path) -> None:
    asked = {"pretrained_model_name_or_path": "me/mine", "pretrained_model_revision": "refs/pr/4"}
    weights = choose_weights(example(tmp_path, **asked), FACTS)
    assert (weights.is_on_hub, weights.revision, weights.origin) == (True, "refs/pr/4", "me/mine")
    assert replace(weights, commit="ab" * 20).origin == HubCommit("me/mine", "ab" * 20)


@pytest.mark.parametrize("named", ["tiny", str(TINY_FOLDER)])
def test_a_folder_has_no_revision(tmp_path: Path, named: str) -> None:
    assert not choose_weights(example(tmp_path, pretrained_model_name_or_path=named), FACTS).is_on_hub
    with pytest.raises(ConfigError, match="the weights are in the folder") as told:
        choose_weights(example(tmp_path, pretrained_model_name_or_path=named, pretrained_model_revision="main"), FACTS)
    assert told.value.key == "pretrained_model_revision"


@pytest.mark.parametrize("revision", ["", "two words", "../../main", "-main", "main\n", "a..b", "x?y"])
def test_a_name_that_no_revision_has_is_refused(tmp_path: Path, revision: str) -> None:
    asked = example(tmp_path, model_flavour="v1")
    model = asked.config.model.model_copy(update={"pretrained_model_revision": revision})
    with pytest.raises(ConfigError, match="cannot be the name of a revision"):
        choose_weights(replace(asked, config=asked.config.model_copy(update={"model": model})), FACTS)
