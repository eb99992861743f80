"""Previews: at the right steps, of the right latents, and gone at the first failure."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from simpletuner.core.errors import ConfigError
from simpletuner.core.events import Event, Notice, PreviewDrawn
from simpletuner.diffusion.sampler import SamplingStep, euler
from simpletuner.models.family import MemorySaving, PreviewDecoder
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.layers import TINY_FOLDER
from simpletuner.validation.gallery import Gallery
from simpletuner.validation.preview import Previews
from simpletuner.validation.prompts import PromptSpec
from simpletuner.validation.render import Sampling, to_picture

FAMILY = OmniGen()
CPU = torch.device("cpu")
LOAD = partial(FAMILY.load_preview_decoder, TINY_FOLDER, CPU, torch.float32)
SPEC = PromptSpec("cat", "a cat")
NOISE = torch.randn(1, 4, 8, 12, generator=torch.Generator().manual_seed(0))


class Broken:
    """Decodes until its memory is gone."""

    def __init__(self, times: int, error: Exception) -> None:
        self.left = times
        self.error = error

    def decode(self, latents: Tensor) -> Tensor:
        self.left -= 1
        if self.left < 0:
            raise self.error
        return torch.zeros(1, 3, 8, 8)


def shown(
    load: Callable[[], PreviewDecoder] | None, every: int, steps: int = 20, *, is_base: bool = False
) -> list[Event]:
    """What is told while a picture, and then another, is sampled."""
    told: list[Event] = []
    gallery = Gallery((SPEC,), ((96, 64),), 1, Sampling(steps, 1.0, 7), Path("out"), preview_every=every)
    previews = Previews(load, gallery, told.append)

    def show(done: SamplingStep) -> None:
        previews.show(done, SPEC, 400, "base model" if is_base else "EMA", is_base=is_base)

    for _ in range(2):
        previews.prepare()
        euler(NOISE, lambda noisy, sigma: noisy, steps, show)
    return told


@pytest.mark.parametrize(
    ("every", "steps"), [(5, [5, 10, 15, 20]), (1, list(range(1, 21))), (7, [7, 14]), (20, [20]), (21, [])]
)
def test_exactly_every_nth_step_is_shown(every: int, steps: list[int]) -> None:
    told = shown(lambda: Broken(99, ValueError()), every)
    assert [event.sampling_step for event in told if isinstance(event, PreviewDrawn)] == steps * 2


def test_a_preview_is_the_estimate_of_the_finished_picture() -> None:
    first, last = (event for event in shown(LOAD, 2, 4)[:2] if isinstance(event, PreviewDrawn))
    assert (first.step, first.nickname, first.prompt, first.sampling_steps) == (400, "cat", "a cat", 4)
    assert [(event.timestep, event.kind) for event in (first, last)] == [(0.5, "intermediary"), (0.0, "final")]
    assert (first.width, first.height, len(first.rgb)) == (96, 64, 96 * 64 * 3)
    # dx/dsigma = x, so each of the four steps leaves three quarters, and the estimate at sigma is x (1 - sigma).
    for event, left in ((first, 0.75 * (1 - 0.75)), (last, 0.75**4)):
        assert to_picture(LOAD().decode(NOISE * left)[0]).tobytes() == event.rgb
    of_base = [event for event in shown(LOAD, 1, 2, is_base=True) if isinstance(event, PreviewDrawn)]
    assert [event.kind for event in of_base] == ["base_model"] * 4
    assert {first.panel, last.panel} == {"EMA"}
    assert {event.panel for event in of_base} == {"base model"}


def test_it_looks_like_the_picture() -> None:
    codec = FAMILY.load_codec(TINY_FOLDER, CPU, torch.float32, MemorySaving())
    apple = torch.full((1, 3, 64, 64), 1.0)
    apple[:, 1:, 16:48, 16:48] = -0.6
    latents = codec.encode(apple).mean
    difference = (LOAD().decode(latents) - codec.decode(latents)).abs().mean()
    assert difference < 0.1


def test_without_a_receiver_nothing_is_loaded() -> None:
    assert shown(None, 1) == []
    assert shown(partial(pytest.fail, "loaded"), 21) == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConfigError("cannot load 'x'", key="k", cure="c"), "cannot load 'x'"),
        (OSError("no such host"), "no such host"),
        (RuntimeError("CUDA out of memory\nand advice"), "CUDA out of memory"),
    ],
)
def test_a_decoder_that_cannot_be_had_or_fails_ends_previews_with_one_warning(error: Exception, said: str) -> None:
    def refuse() -> PreviewDecoder:
        raise error

    lost = Notice(f"no previews for the rest of the run: {said}", level="warning")
    assert shown(refuse, 5) == [lost]
    told = shown(lambda: Broken(3, error), 5)
    assert [type(event) for event in told] == [PreviewDrawn] * 3 + [Notice]
    assert told[-1] == lost


def test_a_bug_is_not_taken_for_a_failure() -> None:
    with pytest.raises(ZeroDivisionError):
        shown(lambda: Broken(0, ZeroDivisionError()), 1)
