"""What is said of the adapter."""

from __future__ import annotations

from simpletuner.adapters.lycoris.adapter import attach_lycoris
from simpletuner.assemble.training.network import coverage_lines
from simpletuner.config.files.lycoris import read_lycoris
from simpletuner.config.reading.find import example_folder
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.layers import FACTS
from simpletuner.training.model import TrainedModel
from tests.models.omnigen.tiny_model import random_omnigen


def test_the_user_reads_how_much_of_each_class_is_adapted() -> None:
    model = random_omnigen().requires_grad_(requires_grad=False)
    config = read_lycoris(example_folder("emoji-style") / "lycoris_config.json")
    adapter = attach_lycoris(model, config, FACTS.class_aliases, seed=0)
    trained = TrainedModel(OmniGen(), model, adapter)
    lines = coverage_lines(trained, FACTS.linear_shapes(model.config))
    assert lines[0].startswith("Attention: 8 of 8 linears")
    assert lines[1].startswith("OmniGenFeedForward: 4 of 4 linears")
    values = sum(parameter.numel() for parameter in adapter.parameters())
    assert lines[2].startswith(f"the adapter: {values:,} parameters")


def test_full_training_says_so() -> None:
    lines = coverage_lines(TrainedModel(OmniGen(), random_omnigen(), None), ())
    assert lines[0].startswith("training all ")
