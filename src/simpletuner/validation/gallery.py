"""What a validation run draws, with which noise, and where each picture goes. All of it values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from simpletuner.core.keyed import derive_seed
from simpletuner.validation.names import benchmark_name, picture_name
from simpletuner.validation.prompts import PromptSpec
from simpletuner.validation.render import Sampling
from simpletuner.validation.save import EXTENSIONS, PictureFormat


@dataclass(frozen=True)
class Shot:
    """One picture to draw: the prompt, its running number among that prompt's pictures, size (width, height) and seed.

    ``repeat`` counts the pictures of one prompt and size from 0.
    """

    spec: PromptSpec
    index: int
    size: tuple[int, int]
    seed: int
    repeat: int = 0


@dataclass(frozen=True)
class Gallery:
    """What is drawn and where it goes.

    ``sizes`` are (width, height); ``repeats`` pictures of each prompt and size; ``facts`` join every picture's own, and
    so do ``notes``, by which a picture is made again but not told from another; input pictures stand at the
    ``input_side``. With ``is_random`` each validation has a noise of its own, and the benchmark that of ``sampling``.
    Every ``preview_every``-th sampling step is shown.
    """

    prompts: tuple[PromptSpec, ...]
    sizes: tuple[tuple[int, int], ...]
    repeats: int
    sampling: Sampling
    output_dir: Path
    picture_format: PictureFormat = "png"
    quality: int = 90
    facts: Mapping[str, str] | None = None
    notes: Mapping[str, str] | None = None
    input_side: Literal["left", "right"] = "left"
    is_random: bool = False
    preview_every: int = 1

    def base_seed(self, shot: Shot) -> int:
        """The seed of the base model's picture beside that of ``shot``."""
        return self.sampling.seed + shot.repeat

    def path(self, shot: Shot, step: int) -> Path:
        """The file of ``shot`` as it is drawn after update ``step``."""
        extension = EXTENSIONS[self.picture_format]
        name = picture_name(step, shot.spec.nickname, shot.index, shot.size, extension)
        return self.output_dir / "validation_images" / name

    def base_path(self, shot: Shot) -> Path:
        """The file of the base model's picture beside that of ``shot``."""
        folder = self.output_dir / "benchmarks" / "base_model"
        first = folder / benchmark_name(shot.spec.nickname, shot.size)
        # SPEC 5.4 names no repeats. Their number stands last: behind the nickname it would be another prompt's name.
        return first if shot.repeat == 0 else first.with_stem(f"{first.stem}_{shot.repeat}")

    def notes_of(self, shot: Shot) -> dict[str, str]:
        """The ``notes`` of one picture: some prompts have a strength of the adapter of their own."""
        kept = {"input_side": self.input_side, "image_quality": str(self.quality)}
        own = {} if shot.spec.strength is None else {"validation_lycoris_strength": str(shot.spec.strength)}
        return {**(self.notes or {}), **kept, **own}


def shots(gallery: Gallery, step: int | None = None) -> Iterator[Shot]:
    """Every picture of the validation after update ``step``, in order; without one, of the benchmark.

    The n-th repeat of a size has the seed + n.
    """
    seed = gallery.sampling.seed if step is None else seed_at(gallery, step)
    for spec in gallery.prompts:
        for number, size in enumerate((spec.size,) if spec.size else gallery.sizes):
            for repeat in range(gallery.repeats):
                yield Shot(spec, number * gallery.repeats + repeat, size, seed + repeat, repeat)


def seed_at(gallery: Gallery, step: int) -> int:
    """The seed of the validation after update ``step``: a fresh one each time when ``is_random``.

    It follows from the fixed one and the step, so that every process draws the same noise, and a run that goes on knows
    which pictures it has.
    """
    fixed = gallery.sampling.seed
    return derive_seed("validation", fixed, step) >> 32 if gallery.is_random else fixed
