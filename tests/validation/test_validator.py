"""What a validation run draws, when, and what it leaves on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from simpletuner.core.events import Event, ImagesRendered, StageProgress
from simpletuner.core.progress import Progress
from simpletuner.models.family import MemorySaving
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.layers import TINY_FOLDER
from simpletuner.validation.prompts import PromptSpec
from simpletuner.validation.render import Sampling, Studio
from simpletuner.validation.save import read_facts
from simpletuner.validation.schedule import Schedule
from simpletuner.validation.validator import BASE, Gallery, Validator, shots

CPU = torch.device("cpu")
PROMPTS = (PromptSpec("unconditional", ""), PromptSpec("validation", "red apple"))


class Painter:
    """A model whose pictures depend on its strength, so that base and trained ones differ."""

    def __init__(self) -> None:
        self.strength = 1.0

    def predict(self, noisy: Tensor, sigma: Tensor, prompts: Sequence[Tensor]) -> Tensor:
        lengths = torch.tensor([float(len(ids)) for ids in prompts])
        return noisy - self.strength * lengths[:, None, None, None] / 40

    @contextmanager
    def at(self, strength: float) -> Iterator[None]:
        former, self.strength = self.strength, strength
        yield
        self.strength = former


@pytest.fixture(scope="module")
def family() -> OmniGen:
    return OmniGen()


def validator(folder: Path, family: OmniGen, schedule: Schedule, told: list[Event], guidance: float = 2.5) -> Validator:
    painter = Painter()
    codec = family.load_codec(TINY_FOLDER, CPU, torch.float32, MemorySaving())
    studio = Studio(family, painter.predict, codec, family.load_text(TINY_FOLDER, builtin_negative=False), CPU)
    gallery = Gallery(PROMPTS, ((64, 64),), 1, Sampling(2, guidance, 42), folder)
    weights = {BASE: lambda: painter.at(0.0), "step {step}": lambda: painter.at(1.0)}
    return Validator(studio, gallery, schedule, weights, told.append)


def test_shots_count_over_sizes_and_repeats(tmp_path: Path) -> None:
    gallery = Gallery(PROMPTS[1:], ((64, 64), (64, 128)), 2, Sampling(1, 1.0, 7), tmp_path)
    assert [(shot.index, shot.size, shot.seed) for shot in shots(gallery)] == [
        (0, (64, 64), 7),
        (1, (64, 64), 8),
        (2, (64, 128), 7),
        (3, (64, 128), 8),
    ]


def test_the_benchmark_is_drawn_once_and_stands_left(tmp_path: Path, family: OmniGen) -> None:
    told: list[Event] = []
    made = validator(tmp_path, family, Schedule(step_interval=10), told)
    made.before_training(Progress())
    base = tmp_path / "benchmarks" / "base_model" / "validation_64x64.png"
    written = base.stat().st_mtime_ns
    made.before_training(Progress())
    assert base.stat().st_mtime_ns == written
    made.after_update(Progress(step=10), epoch_ended=False)
    (rendered,) = (event for event in told if isinstance(event, ImagesRendered) and event.kind == "validation")
    assert [picture.path.name for picture in rendered.pictures] == [
        "step_10_unconditional_0_64x64.png",
        "step_10_validation_0_64x64.png",
    ]
    with Image.open(rendered.pictures[1].path) as stitched, Image.open(base) as plain:
        assert stitched.width == 2 * 256 + 5
        assert plain.size == (64, 64)
        left = stitched.crop((0, 30, 256, 256)).convert("RGB").getcolors(70000)
        right = stitched.crop((261, 30, 517, 256)).convert("RGB").getcolors(70000)
        assert left != right


def test_a_benchmark_of_other_settings_is_drawn_again(tmp_path: Path, family: OmniGen) -> None:
    for guidance in (2.5, 1.5):
        validator(tmp_path, family, Schedule(step_interval=10), [], guidance=guidance).before_training(Progress())
        facts = read_facts(tmp_path / "benchmarks" / "base_model" / "validation_64x64.png")
        assert facts["guidance"] == str(guidance)


def test_it_draws_when_due_and_at_the_end_unless_just_drawn(tmp_path: Path, family: OmniGen) -> None:
    told: list[Event] = []
    made = validator(tmp_path, family, Schedule(step_interval=4, first_step=4), told)
    for step in (4, 5, 8):
        made.after_update(Progress(step=step), epoch_ended=False)
    made.at_end(Progress(step=8))
    made.at_end(Progress(step=9))
    assert [event.step for event in told if isinstance(event, ImagesRendered)] == [8, 9]
    validator(tmp_path, family, Schedule(step_interval=4, first_step=9), told).at_end(Progress(step=9))
    assert [event.step for event in told if isinstance(event, ImagesRendered)] == [8, 9], "drawn before the restart"


def test_facts_tell_how_to_draw_it_again(tmp_path: Path, family: OmniGen) -> None:
    made = validator(tmp_path, family, Schedule(step_interval=1), [])
    made.after_update(Progress(step=1), epoch_ended=False)
    facts = read_facts(tmp_path / "validation_images" / "step_1_validation_0_64x64.png")
    expected = {"prompt": "red apple", "seed": "42", "steps": "2", "guidance": "2.5", "negative_prompt": "<cfg>"}
    assert expected.items() <= facts.items()


def test_the_same_noise_whatever_was_drawn_before(tmp_path: Path, family: OmniGen) -> None:
    paths = []
    for name in ("one", "two"):
        torch.randn(5)
        made = validator(tmp_path / name, family, Schedule(step_interval=1), [])
        made.before_training(Progress())
        paths.append(tmp_path / name / "benchmarks" / "base_model" / "validation_64x64.png")
    with Image.open(paths[0]) as one, Image.open(paths[1]) as two:
        assert one.tobytes() == two.tobytes()


def test_progress_counts_sampling_steps_to_the_end(tmp_path: Path, family: OmniGen) -> None:
    told: list[Event] = []
    validator(tmp_path, family, Schedule(step_interval=1), told).after_update(Progress(step=1), epoch_ended=False)
    done = [event.done for event in told if isinstance(event, StageProgress)]
    assert done == [1, 2, 3, 4]
