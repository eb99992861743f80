"""Which prompts a validation run renders, in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image

from simpletuner.config.files.prompts import LibraryPrompt
from simpletuner.validation.names import safe_nicknames

UNCONDITIONAL = "unconditional"
MAIN = "validation"


@dataclass(frozen=True, eq=False)
class InputPicture:
    """A picture that a prompt is drawn with, RGB with edges of 16 n, and a ``name`` that tells it apart."""

    name: str
    image: Image.Image


@dataclass(frozen=True)
class PromptSpec:
    """A prompt and its nickname, which is safe in file names and different from every other one's.

    It is drawn with ``pictures``, and at ``size`` (width, height) and with ``strength`` of the adapter where it has
    some of its own.
    """

    nickname: str
    prompt: str
    pictures: tuple[InputPicture, ...] = ()
    size: tuple[int, int] | None = None
    strength: float | None = None


def collect(
    validation_prompt: str | None,
    library: Sequence[LibraryPrompt],
    *,
    unconditional: bool,
    beside: Sequence[PromptSpec] = (),
    pictures: tuple[InputPicture, ...] = (),
) -> tuple[PromptSpec, ...]:
    """The empty prompt, then those ``beside`` it, then ``library`` in file order, then the main one.

    The last two are drawn with ``pictures``. Where only the empty prompt is left there is nothing to validate.
    """
    if not (validation_prompt or library or beside):
        return ()
    asked = [prompt.nickname for prompt in library] + [spec.nickname for spec in beside]
    names = safe_nicknames(asked, reserved=(UNCONDITIONAL, MAIN))
    first = (PromptSpec(UNCONDITIONAL, ""),) if unconditional else ()
    named = tuple(replace(spec, nickname=name) for name, spec in zip(names[len(library) :], beside, strict=True))
    own = tuple(
        PromptSpec(name, prompt.prompt, pictures, strength=prompt.adapter_strength)
        for name, prompt in zip(names, library, strict=False)
    )
    last = (PromptSpec(MAIN, validation_prompt, pictures),) if validation_prompt else ()
    return first + named + own + last
