from __future__ import annotations

from pathlib import Path

import pytest
import torch

from simpletuner.assemble.commands.adapted_model import adapted, read_adapter
from simpletuner.assemble.commands.comparison import CLOSE, Answers, answer, answers, distance
from simpletuner.core.errors import DataError
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.layers import TINY_FOLDER
from tests.adapters.export.files import LOKR, adapter_file


def moved(base: torch.Tensor, by: float) -> torch.Tensor:
    return base + torch.tensor([by, 0.0])


def test_rounding_passes_and_more_does_not() -> None:
    base = torch.tensor([0.0, 1.0])
    seen = Answers(base, moved(base, 0.5))
    assert seen.effect == 0.5
    assert seen.require(moved(base, 0.5 + CLOSE / 2), "the file") < CLOSE
    for other in (moved(base, 0.5 + CLOSE * 3), moved(base, float("nan"))):
        with pytest.raises(DataError, match="the file is not the adapter"):
            seen.require(other, "the file")


def test_an_adapter_that_does_little_is_not_mistaken_for_none() -> None:
    """Its whole effect is below what passes for rounding."""
    base = torch.tensor([0.0, 1.0]).double()
    weak = Answers(base, base + torch.tensor([0.9 * CLOSE, 0.0]))
    assert weak.require(weak.adapted, "the file") == 0
    stronger = Answers(base, base + torch.tensor([CLOSE * 30, 0.0]))
    with pytest.raises(DataError):
        stronger.require(base + torch.tensor([CLOSE * 28, 0.0]), "the file")


def test_the_question_is_the_same_each_time_and_asks_the_adapter(tmp_path: Path) -> None:
    family = OmniGen()
    base = answer(family, family.load_denoiser(TINY_FOLDER, torch.float32))
    model = adapted(
        family, family.load_denoiser(TINY_FOLDER, torch.float32), read_adapter(adapter_file(tmp_path, LOKR))
    )
    seen = answers(family, model.denoiser, model.adapter, 1.0)
    assert torch.equal(seen.base, base)
    assert seen.effect > 0.05
    assert distance(answers(family, model.denoiser, model.adapter, 0.5).adapted, seen.adapted) > 0.01
