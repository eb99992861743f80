from __future__ import annotations

from pathlib import Path

import pytest

from simpletuner.assemble.weights import choose_weights
from simpletuner.config.find import Selection
from simpletuner.config.load import LoadedRun, load_run
from simpletuner.models.omnigen.layers import FACTS, TINY_FOLDER


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
