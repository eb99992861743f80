"""Pictures as they look while they are sampled: for looking at only, they change nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from PIL import Image
from safetensors import SafetensorError

from simpletuner.core.errors import SimpletunerError
from simpletuner.core.events import Emit, Notice, PreviewDrawn
from simpletuner.core.memory import first_line, give_back
from simpletuner.diffusion.sampler import SamplingStep
from simpletuner.models.family import PreviewDecoder
from simpletuner.validation.gallery import Gallery
from simpletuner.validation.prompts import PromptSpec
from simpletuner.validation.render import to_picture

_T = TypeVar("_T")

# What libraries say of a file, of the hub, of another's model and of memory.
_FAILURES = (SimpletunerError, SafetensorError, OSError, RuntimeError, ValueError, LookupError, TypeError, MemoryError)


class Previews:
    """Shows every n-th sampling step; ``load`` gives the decoder, None shows nothing.

    A decoder that cannot be had, or fails, ends the previews of the run with one warning.
    """

    def __init__(self, load: Callable[[], PreviewDecoder] | None, gallery: Gallery, emit: Emit) -> None:
        self._load = load
        self._every = gallery.preview_every
        self._steps = gallery.sampling.steps
        self._emit = emit
        self._decoder: PreviewDecoder | None = None

    def prepare(self) -> None:
        """Load the decoder, once. Not in the middle of a picture, which would wait for the hub."""
        if self._decoder is None and self._load is not None and self._every <= self._steps:
            self._decoder = self._tried(self._load)

    def show(self, sampled: SamplingStep, spec: PromptSpec, step: int, panel: str, *, is_base: bool) -> None:
        """Tell what ``sampled`` makes of ``spec`` after update ``step``, where it is its turn. ``panel`` names it."""
        if self._decoder is None or sampled.number % self._every:
            return
        decoder = self._decoder
        image = self._tried(lambda: to_picture(decoder.decode(sampled.estimate)[0]))
        if image is not None:
            kind = "base_model" if is_base else "final" if sampled.number == self._steps else "intermediary"
            self._emit(replace(self._preview(sampled, spec, step, image), kind=kind, panel=panel))

    def _preview(self, sampled: SamplingStep, spec: PromptSpec, step: int, image: Image.Image) -> PreviewDrawn:
        return PreviewDrawn(
            step=step,
            nickname=spec.nickname,
            prompt=spec.prompt,
            sampling_step=sampled.number,
            sampling_steps=self._steps,
            timestep=float(sampled.next_sigma[0]),
            width=image.width,
            height=image.height,
            rgb=image.tobytes(),
        )

    def _tried(self, make: Callable[[], _T]) -> _T | None:
        said = ""
        try:
            return make()
        except _FAILURES as error:
            said = error.reason if isinstance(error, SimpletunerError) else first_line(error)
        self._load = self._decoder = None
        give_back()
        self._emit(Notice(f"no previews for the rest of the run: {said}", level="warning"))
        return None
