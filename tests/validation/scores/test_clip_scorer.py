from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image

from simpletuner.config.reading.find import example_folder
from simpletuner.core.errors import ConfigError
from simpletuner.core.events import Evaluated, Event, Notice
from simpletuner.models.omnigen.layers import TINY_FOLDER
from simpletuner.validation.scores.clip import Clip, clip_on
from simpletuner.validation.scores.clip_scorer import Bench, ClipScorer, Load, Named
from simpletuner.validation.scores.scorer import PictureScore, Seen

CPU = torch.device("cpu")
CLIP: Load = partial(clip_on, TINY_FOLDER / "clip")


def picture(name: str) -> Image.Image:
    return Image.open(example_folder("emoji-style") / "images" / f"{name}.png").convert("RGB")


def trained_on(*names: str) -> Named:
    return lambda: ((f"flat/{name}.png", picture(name)) for name in names)


def judged(
    seen: list[Seen], clip: Load | None = CLIP, training: Named | None = None, device: torch.device = CPU
) -> tuple[list[PictureScore], list[Event]]:
    told: list[Event] = []
    scorer = ClipScorer(Bench(clip, training, device, lambda step: step // 10 + 1), told.append)
    return list(scorer.score(20, seen)), told


def metrics(told: list[Event]) -> dict[str, float]:
    (found,) = [event for event in told if isinstance(event, Evaluated)]
    assert (found.step, found.epoch) == (20, 3)
    return dict(found.metrics)


def test_the_last_picture_of_each_prompt_is_scored_and_the_empty_prompt_is_not(tmp_path: Path) -> None:
    picture("frog").save(tmp_path / "base.png")
    seen = [
        Seen("unconditional", "", picture("frog"), tmp_path / "nothing.png"),
        Seen("apple", "red apple", picture("rocket"), tmp_path / "nothing.png"),
        Seen("apple", "red apple", picture("red_apple"), tmp_path / "base.png"),
        Seen("pizza", "pizza", picture("pizza"), tmp_path / "base.png"),
    ]
    verdicts, told = judged(seen)
    assert [verdict.score is None for verdict in verdicts] == [True, True, False, False]
    scores = [verdict.score for verdict in verdicts if verdict.score is not None]
    numbers = metrics(told)
    assert numbers["clip/max"] == max(scores)
    assert numbers["clip/mean"] == pytest.approx(sum(scores) / 2, abs=1e-4)
    assert numbers["clip/base/mean"] < numbers["clip/min"]
    assert numbers["clip/gain"] == pytest.approx(numbers["clip/mean"] - numbers["clip/base/mean"], abs=2e-4)
    assert not any(name.startswith("memorisation") for name in numbers)


def test_without_every_base_picture_there_is_no_gain() -> None:
    numbers = metrics(judged([Seen("pizza", "pizza", picture("pizza"))])[1])
    assert sorted(numbers) == ["clip/max", "clip/mean", "clip/min", "clip/std"]


@pytest.mark.parametrize("clip", [CLIP, None])
def test_a_copy_of_a_training_picture_is_told_in_one_line(clip: Load | None) -> None:
    seen = [Seen("unconditional", "", picture("pizza")), Seen("frog", "frog", picture("umbrella"))]
    _, told = judged(seen, clip, trained_on("red_apple", "pizza", "rocket"))
    assert metrics(told)["memorisation/max"] == pytest.approx(1, abs=1e-3)
    (warned,) = [event for event in told if isinstance(event, Notice)]
    assert warned.level == "warning"
    assert "'unconditional' looks like the training picture flat/pizza.png" in warned.text
    _, told = judged(seen[1:], clip, trained_on("red_apple", "pizza", "rocket"))
    assert [event for event in told if isinstance(event, Notice)] == []


def test_the_random_stream_stays_and_the_training_pictures_are_read_once() -> None:
    reads: list[int] = []

    def training() -> Iterator[tuple[str, Image.Image]]:
        reads.append(1)
        return trained_on("pizza", "frog")()

    scorer = ClipScorer(Bench(CLIP, training, CPU, lambda _step: 1), lambda _event: None)
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    for step in (1, 2):
        scorer.score(step, [Seen("frog", "frog", picture("frog"))])
    assert torch.equal(torch.rand(4), wanted)
    assert reads == [1]
    assert scorer.score(3, []) == []


def test_a_full_device_is_left_for_the_cpu_once() -> None:
    asked: list[str] = []

    def load(device: torch.device) -> AbstractContextManager[Clip]:
        asked.append(device.type)
        if device.type != "cpu":
            raise torch.OutOfMemoryError("out of memory")
        return CLIP(device)

    told: list[Event] = []
    scorer = ClipScorer(Bench(load, None, torch.device("meta"), lambda _step: 1), told.append)
    for step in (1, 2):
        assert scorer.score(step, [Seen("frog", "frog", picture("frog"))])[0].score is not None
    assert asked == ["meta", "cpu", "cpu"]
    assert [event.text for event in told if isinstance(event, Notice)] == [
        "no room for the CLIP on meta: from here on it scores on the CPU"
    ]


def test_a_clip_that_is_gone_ends_nothing() -> None:
    @contextmanager
    def gone(_device: torch.device) -> Iterator[Clip]:
        with clip_on(Path("nowhere"), CPU) as clip:
            yield clip

    verdicts, told = judged([Seen("frog", "frog", picture("frog"))], gone)
    assert verdicts == [PictureScore()]
    (notice,) = told
    assert isinstance(notice, Notice)
    assert notice.text.startswith("step 20: the pictures are not judged: cannot be loaded")
    with pytest.raises(ConfigError):
        gone(CPU).__enter__()
