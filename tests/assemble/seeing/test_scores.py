from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from simpletuner.assemble.data.datasets import TrainingData
from simpletuner.assemble.seeing.scores import build_scorer, clip_of, require_clip
from simpletuner.assemble.stage import Stage, set_stage
from simpletuner.config.load import load_run
from simpletuner.config.reading.find import Selection
from simpletuner.core.errors import ConfigError
from simpletuner.core.events import Evaluated, Event, Notice
from simpletuner.models.catalogue import family_facts
from simpletuner.models.omnigen.layers import TINY_FOLDER
from simpletuner.validation.scores.clip_files import DEFAULT
from simpletuner.validation.scores.clip_scorer import ClipScorer
from simpletuner.validation.scores.scorer import PictureScorer, Seen
from tests.runs.conftest import lay_out
from tests.runs.data_words import training_data

CPU = torch.device("cpu")
ASKED = {"evaluation_type": "clip", "validation_disable": "false", "validation_prompt": "pizza"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(lay_out(tmp_path))
    return tmp_path


def stage(folder: Path, told: list[Event], **words: str) -> Stage:
    return set_stage(load_run(Selection(), ASKED | words, folder, {}), None, told.append)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ({}, str(TINY_FOLDER / "clip")),
        ({"model_flavour": "v1"}, DEFAULT),
        ({"model_flavour": "v1", "pretrained_model_name_or_path": "tiny"}, str(TINY_FOLDER / "clip")),
        ({"model_flavour": "v1", "pretrained_model_name_or_path": str(TINY_FOLDER)}, str(TINY_FOLDER / "clip")),
        ({"model_flavour": "v1", "pretrained_model_name_or_path": "someone/omnigen"}, DEFAULT),
    ],
)
def test_the_clip_goes_with_the_model(words: dict[str, str], wanted: str, folder: Path) -> None:
    loaded = load_run(Selection(), ASKED | words, folder, {})
    assert clip_of(loaded, family_facts("omnigen")) == wanted


def test_nothing_is_loaded_for_a_run_that_scores_nothing(folder: Path) -> None:
    for words in ({"evaluation_type": "none"}, {"validation_disable": "true"}):
        asked = stage(folder, [], pretrained_evaluation_model_name_or_path="no/where", **words)
        assert require_clip(asked) is None


def test_a_clip_that_cannot_be_loaded_is_told_before_anything_else(folder: Path) -> None:
    broken = Path(shutil.copytree(TINY_FOLDER / "clip", folder / "mine"))
    (broken / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match="pretrained_evaluation_model_name_or_path: cannot be loaded"):
        require_clip(stage(folder, [], pretrained_evaluation_model_name_or_path="mine"))


@pytest.mark.parametrize(
    ("words", "judges"),
    [
        ({}, True),
        ({"memorisation_probe": "false", "evaluation_type": "none"}, False),
        ({"evaluation_type": "none"}, False),
    ],
)
def test_it_judges_what_is_asked(words: dict[str, str], judges: bool, folder: Path) -> None:
    asked = stage(folder, [], **words)
    scorer = build_scorer(asked, require_clip(asked), training_data(), CPU)
    assert type(scorer) is (ClipScorer if judges else PictureScorer)


def test_each_training_picture_is_compared_once(folder: Path) -> None:
    """Without a CLIP, too. Two data sets may show the same files."""
    data: TrainingData = training_data()
    told: list[Event] = []
    asked = stage(folder, told, evaluation_type="none", memorisation_probe="true")
    data.datasets = (*data.datasets, *data.datasets)
    scorer = build_scorer(asked, require_clip(asked), data, CPU)
    from_disk = Seen("pizza", "pizza", _picture(folder / "pictures" / "pizza.png"))
    scorer.score(0, [from_disk])
    (found,) = [event for event in told if isinstance(event, Evaluated)]
    assert found.epoch == 1
    assert found.metrics["memorisation/max"] > 0.97
    # Were a picture its own neighbour, the usual likeness would be 1.
    assert found.metrics["memorisation/typical"] < 0.9
    assert any("training picture flat/pizza.png" in event.text for event in told if isinstance(event, Notice))


def _picture(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB").resize((64, 64))
