"""What a validation run draws, when, and what it leaves on disk."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from PIL import Image
from torch import Tensor

from simpletuner.core.batch import Prompt
from simpletuner.core.errors import Interrupted
from simpletuner.core.events import Event, ImagesRendered, PreviewDrawn, StageChanged, StageProgress
from simpletuner.core.progress import Progress
from simpletuner.models.family import MemorySaving
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.layers import TINY_FOLDER
from simpletuner.validation.gallery import Gallery
from simpletuner.validation.prompts import InputPicture, PromptSpec
from simpletuner.validation.render import Sampling, Studio
from simpletuner.validation.save import read_facts
from simpletuner.validation.schedule import Schedule
from simpletuner.validation.validator import BASE, Validator

CPU = torch.device("cpu")
PROMPTS = (PromptSpec("unconditional", ""), PromptSpec("validation", "red apple"))


class Painter:
    """A model whose pictures depend on its strength, so that base and trained ones differ."""

    def __init__(self) -> None:
        self.strength = 1.0

    def predict(self, noisy: Tensor, sigma: Tensor, prompts: Sequence[Prompt]) -> Tensor:
        lengths = torch.tensor([float(len(prompt.ids)) for prompt in prompts])
        return noisy - self.strength * lengths[:, None, None, None] / 40

    @contextmanager
    def at(self, strength: float) -> Iterator[None]:
        former, self.strength = self.strength, strength
        yield
        self.strength = former


@pytest.fixture(scope="module")
def family() -> OmniGen:
    return OmniGen()


def validator(
    folder: Path, family: OmniGen, schedule: Schedule, told: list[Event], guidance: float = 2.5, **more: Any
) -> Validator:
    """More is of the gallery; with ``preview_every`` pictures are shown while they are sampled."""
    painter = Painter()
    codec = family.load_codec(TINY_FOLDER, CPU, torch.float32, MemorySaving())
    text = family.load_text(TINY_FOLDER, builtin_negative=False)
    preview = partial(family.load_preview_decoder, TINY_FOLDER, CPU, torch.float32) if "preview_every" in more else None
    studio = Studio(family, painter.predict, codec, text, CPU, load_preview=preview)
    what = {"prompts": PROMPTS, "sizes": ((64, 64),), "repeats": 1, "sampling": Sampling(2, guidance, 42)}
    gallery = Gallery(**{**what, "output_dir": folder, **more})
    weights = {
        BASE: lambda _own: painter.at(0.0),
        "step {step}": lambda own: painter.at(1.0 if own is None else own),
    }
    return Validator(studio, gallery, schedule, weights, told.append)


def stages(told: list[Event]) -> list[tuple[str, str]]:
    return [(event.stage, event.status) for event in told if isinstance(event, StageChanged)]


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
    told_before = len(told)
    made.at_end(Progress(step=8))
    announced = [("final_validation", "running"), ("final_validation", "completed")]
    assert stages(told[told_before:]) == announced, "announced, and nothing drawn"
    assert len(told) == told_before + 2
    made.at_end(Progress(step=9))
    assert stages(told[told_before:]) == announced * 2
    assert [event.step for event in told if isinstance(event, ImagesRendered)] == [8, 9]
    validator(tmp_path, family, Schedule(step_interval=4, first_step=9), told).at_end(Progress(step=9))
    assert [event.step for event in told if isinstance(event, ImagesRendered)] == [8, 9], "drawn before the restart"


def test_start_up_pictures_that_the_run_has_already_are_not_drawn_again(tmp_path: Path, family: OmniGen) -> None:
    told: list[Event] = []
    schedule = Schedule(on_startup=True, first_step=8)
    for step in (0, 0, 8, 8):
        validator(tmp_path, family, schedule, told).before_training(Progress(step=step))
    # Before the first update nothing says whose weights they were.
    assert [event.step for event in told if isinstance(event, ImagesRendered) and event.kind == "validation"] == [
        0,
        0,
        8,
    ]


def test_a_run_that_goes_on_draws_what_the_one_before_still_owed(tmp_path: Path, family: OmniGen) -> None:
    told: list[Event] = []
    by_steps, by_epochs = Schedule(step_interval=4, first_step=8), Schedule(epoch_interval=2, first_step=9)
    places = [Progress(step=8, epoch=1, epoch_step=3), Progress(step=9, epoch=1, epoch_step=4)]
    for schedule, progress in ((by_steps, places[0]), (by_steps, places[0]), (by_steps, places[1])):
        validator(tmp_path, family, schedule, told).before_training(progress)
    assert [event.step for event in told if isinstance(event, ImagesRendered) and event.step] == [8]
    for epoch, epoch_step in ((1, 0), (2, 1), (2, 0)):
        validator(tmp_path, family, by_epochs, told).before_training(Progress(9, epoch, epoch_step))
    assert [event.step for event in told if isinstance(event, ImagesRendered) and event.step] == [8, 9]


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


@pytest.mark.parametrize("side", ["left", "right"])
def test_input_pictures_stand_at_their_side(tmp_path: Path, family: OmniGen, side: Literal["left", "right"]) -> None:
    inputs = tuple(InputPicture(name, Image.new("RGB", (64, 64), name)) for name in ("black", "white"))
    plain = validator(tmp_path, family, Schedule(step_interval=1), [])
    gallery = Gallery(
        (PromptSpec("edit", "x", inputs),), ((64, 64),), 1, Sampling(1, 1.0, 1), tmp_path, input_side=side
    )
    made = Validator(plain._studio, gallery, Schedule(step_interval=1), plain._weights, lambda event: None)
    made.before_training(Progress())
    made.after_update(Progress(step=1), epoch_ended=False)
    path = tmp_path / "validation_images" / "step_1_edit_0_64x64.png"
    with Image.open(path) as stitched:
        assert stitched.width == 4 * 256 + 3 * 5
        places = [0, 261] if side == "left" else [522, 783]
        shown = [stitched.convert("RGB").getpixel((place + 128, 128)) for place in places]
        assert shown == [(0, 0, 0), (255, 255, 255)]
    facts = read_facts(path)
    assert (facts["input_pictures"], facts["image_guidance"]) == ("black, white", "1.6")


def test_another_input_picture_draws_the_benchmark_again(tmp_path: Path, family: OmniGen) -> None:
    for name in ("one", "two"):
        plain = validator(tmp_path, family, Schedule(step_interval=1), [])
        spec = PromptSpec("edit", "x", (InputPicture(name, Image.new("RGB", (64, 64))),))
        gallery = Gallery((spec,), ((64, 64),), 1, Sampling(1, 1.0, 1), tmp_path)
        made = Validator(plain._studio, gallery, Schedule(step_interval=1), plain._weights, lambda event: None)
        made.before_training(Progress())
        assert read_facts(tmp_path / "benchmarks" / "base_model" / "edit_64x64.png")["input_pictures"] == name


def test_validation_is_a_stage_and_so_is_the_benchmark(tmp_path: Path, family: OmniGen) -> None:
    told: list[Event] = []
    made = validator(tmp_path, family, Schedule(step_interval=1), told)
    made.before_training(Progress())
    made.after_update(Progress(step=1), epoch_ended=False)
    assert stages(told) == [
        (stage, status) for stage in ("benchmark_base_model", "validation") for status in ("running", "completed")
    ]
    assert isinstance(told[-2], ImagesRendered)
    told.clear()
    nothing = validator(tmp_path, family, Schedule(step_interval=1), told, prompts=())
    nothing.after_update(Progress(step=1), epoch_ended=False)
    nothing.at_end(Progress(step=2))
    assert told == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MemoryError(), "skipped"),
        (OSError(errno.ENOSPC, "full"), "skipped"),
        (Interrupted("stopped"), "cancelled"),
        (ZeroDivisionError(), "failed"),
    ],
)
def test_how_a_validation_ends_otherwise(tmp_path: Path, family: OmniGen, error: Exception, status: str) -> None:
    told: list[Event] = []

    def hear(event: Event) -> None:
        told.append(event)
        if isinstance(event, StageProgress):
            raise error

    made = validator(tmp_path, family, Schedule(step_interval=1), [])
    failing = Validator(made._studio, made._gallery, made._schedule, made._weights, hear)
    with pytest.raises(type(error)):
        failing.after_update(Progress(step=1), epoch_ended=False)
    assert stages(told) == [("validation", "running"), ("validation", status)]


def test_previews_come_at_every_nth_step_and_change_no_pixel(tmp_path: Path, family: OmniGen) -> None:
    told: list[Event] = []
    few, drawn = {"prompts": PROMPTS[1:], "sampling": Sampling(6, 1.0, 42)}, {}
    for name, more in (("quiet", {}), ("shown", {"preview_every": 2})):
        made = validator(tmp_path / name, family, Schedule(step_interval=3), told, **few, **more)
        made.before_training(Progress())
        torch.manual_seed(5)
        made.after_update(Progress(step=3), epoch_ended=False)
        drawn[name] = (tmp_path / name / "validation_images" / "step_3_validation_0_64x64.png").read_bytes()
        assert torch.rand(1) == torch.rand(1, generator=torch.Generator().manual_seed(5)), "no random number is used"
    assert drawn["quiet"] == drawn["shown"]
    previews = [event for event in told if isinstance(event, PreviewDrawn)]
    assert [(event.step, event.sampling_step, event.kind) for event in previews] == [
        *((0, step, "base_model") for step in (2, 4, 6)),
        *((3, step, kind) for step, kind in ((2, "intermediary"), (4, "intermediary"), (6, "final"))),
    ]


def test_other_noise_each_time_and_the_same_again_for_the_same_step(tmp_path: Path, family: OmniGen) -> None:
    told: list[Event] = []
    made = validator(tmp_path, family, Schedule(step_interval=1), told, is_random=True)
    made.before_training(Progress())
    for step in (1, 2):
        made.after_update(Progress(step=step), epoch_ended=False)
    made.at_end(Progress(step=2))
    facts = [read_facts(tmp_path / "validation_images" / f"step_{step}_validation_0_64x64.png") for step in (1, 2)]
    seeds = [fact["seed"] for fact in facts]
    assert len({"42", *seeds}) == 3
    assert [fact["panel_seeds"] for fact in facts] == [f"42,{seed}" for seed in seeds]
    drawn = [event.step for event in told if isinstance(event, ImagesRendered)]
    assert drawn == [0, 1, 2], "what is there is known again"


def test_a_prompt_with_a_strength_of_its_own_is_drawn_with_it(tmp_path: Path, family: OmniGen) -> None:
    prompts = tuple(PromptSpec(f"at{strength}", "x", strength=strength) for strength in (0.0, None, 1.0))
    made = validator(tmp_path, family, Schedule(step_interval=1), [], prompts=prompts)
    made.after_update(Progress(step=1), epoch_ended=False)
    paths = [tmp_path / "validation_images" / f"step_1_{spec.nickname}_0_64x64.png" for spec in prompts]
    pixels = []
    for path in paths:
        with Image.open(path) as image:
            pixels.append(image.tobytes())
    assert pixels[1] == pixels[2] != pixels[0]
    strengths = [read_facts(path).get("validation_lycoris_strength") for path in paths]
    assert strengths == ["0.0", None, "1.0"]
