"""The action that draws: the base model once, then the model as it learns, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from simpletuner.core.events import Emit, ImagesRendered, Picture, StageProgress
from simpletuner.core.progress import Progress
from simpletuner.validation.names import benchmark_name, picture_name
from simpletuner.validation.prompts import PromptSpec
from simpletuner.validation.render import Sampling, Studio, render
from simpletuner.validation.save import EXTENSIONS, PictureFormat, read_facts, save_picture
from simpletuner.validation.schedule import Schedule, due, due_at_end, due_at_start
from simpletuner.validation.stitch import Panel, stitch

Weights = Callable[[], AbstractContextManager[None]]
"""Puts one kind of weights (base, live, averaged) in place for as long as the block lasts."""

BASE = "base model"


@dataclass(frozen=True)
class Gallery:
    """What is drawn and where it goes.

    ``sizes`` are (width, height); ``repeats`` pictures of each prompt and size; ``facts`` join every picture's own.
    """

    prompts: tuple[PromptSpec, ...]
    sizes: tuple[tuple[int, int], ...]
    repeats: int
    sampling: Sampling
    output_dir: Path
    picture_format: PictureFormat = "png"
    quality: int = 90
    facts: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Shot:
    """One picture to draw: the prompt, its running number among that prompt's pictures, size and seed."""

    spec: PromptSpec
    index: int
    size: tuple[int, int]
    seed: int


def shots(gallery: Gallery) -> Iterator[Shot]:
    """Every picture of a validation run, in order. The n-th repeat of a size has the seed + n."""
    for spec in gallery.prompts:
        for number, size in enumerate(gallery.sizes):
            for repeat in range(gallery.repeats):
                yield Shot(spec, number * gallery.repeats + repeat, size, gallery.sampling.seed + repeat)


class Validator:
    """Draws when its schedule says so; see :class:`simpletuner.core.progress.Action`."""

    def __init__(
        self, studio: Studio, gallery: Gallery, schedule: Schedule, weights: Mapping[str, Weights], emit: Emit
    ) -> None:
        """``weights`` names the panels from left to right; ``base model`` among them is drawn once and kept."""
        self._studio = studio
        self._gallery = gallery
        self._schedule = schedule
        self._weights = dict(weights)
        self._emit = emit
        self._last: int | None = None

    def before_training(self, progress: Progress) -> None:
        """The benchmark, unless its pictures are there already, and the start-up pictures when asked for."""
        if BASE in self._weights and self._gallery.prompts:
            self._benchmark()
        if due_at_start(self._schedule):
            self.validate(progress.step)

    def after_update(self, progress: Progress, *, epoch_ended: bool) -> None:
        """Draw when due."""
        if due(self._schedule, progress.step, progress.epoch if epoch_ended else None):
            self.validate(progress.step)

    def at_end(self, progress: Progress) -> None:
        """Draw the final weights, unless these very weights were just drawn, here or before a restart."""
        if all(self._is_drawn(self._path(shot, progress.step), shot, progress.step) for shot in shots(self._gallery)):
            return
        if due_at_end(self._schedule, progress.step, self._last):
            self.validate(progress.step)

    def validate(self, step: int) -> None:
        """Draw every shot with the current weights and save it, stitched to the base model's when there is one."""
        current = {label: use for label, use in self._weights.items() if label != BASE}
        drawn: dict[str, Sequence[Image.Image]] = {
            label: self._draw(list(shots(self._gallery)), use, "validation") for label, use in current.items()
        }
        pictures = tuple(
            self._save(shot, step, {label: images[number] for label, images in drawn.items()})
            for number, shot in enumerate(shots(self._gallery))
        )
        self._last = step
        if pictures:
            self._emit(ImagesRendered(step, "validation", pictures))

    def _benchmark(self) -> None:
        missing = [shot for shot in shots(self._gallery) if not self._is_drawn(self._base_path(shot), shot, 0)]
        images = self._draw(missing, self._weights[BASE], "benchmark_base_model")
        for shot, image in zip(missing, images, strict=True):
            save_picture(image, self._base_path(shot), "png", 100, self._facts(shot, 0))
        if missing:
            pictures = tuple(_picture(self._base_path(shot), shot) for shot in missing)
            self._emit(ImagesRendered(0, "benchmark", pictures))

    def _is_drawn(self, path: Path, shot: Shot, step: int) -> bool:
        """Whether ``path`` shows this very shot: same prompt, seed, steps, guidance and model."""
        return path.exists() and self._facts(shot, step).items() <= read_facts(path).items()

    def _draw(self, wanted: Sequence[Shot], weights: Weights, stage: str) -> list[Image.Image]:
        steps = self._gallery.sampling.steps
        total = len(wanted) * steps
        images = []
        with weights():
            for number, shot in enumerate(wanted):

                def on_step(
                    step: int, before: int = number * steps, label: str = f"{stage}: {shot.spec.nickname}"
                ) -> None:
                    self._emit(StageProgress(stage, label, before + step, total))

                sampling = Sampling(steps, self._gallery.sampling.guidance, shot.seed, self._gallery.sampling.negative)
                images.append(render(self._studio, shot.spec.prompt, shot.size, sampling, on_step))
        return images

    def _save(self, shot: Shot, step: int, drawn: Mapping[str, Image.Image]) -> Picture:
        panels = [Panel(label.format(step=step), image) for label, image in drawn.items()]
        base = self._base_path(shot)
        if BASE in self._weights and base.exists():
            with Image.open(base) as stored:
                panels.insert(0, Panel(BASE, stored.convert("RGB")))
        image = stitch(panels, shot.spec.prompt) if len(panels) > 1 else panels[0].image
        path = self._path(shot, step)
        save_picture(image, path, self._gallery.picture_format, self._gallery.quality, self._facts(shot, step))
        return _picture(path, shot)

    def _path(self, shot: Shot, step: int) -> Path:
        extension = EXTENSIONS[self._gallery.picture_format]
        name = picture_name(step, shot.spec.nickname, shot.index, shot.size, extension)
        return self._gallery.output_dir / "validation_images" / name

    def _base_path(self, shot: Shot) -> Path:
        # The name of SPEC 5.4 counts no repeats; later repeats carry their seed so that they do not overwrite.
        repeat = shot.seed - self._gallery.sampling.seed
        nickname = shot.spec.nickname if repeat == 0 else f"{shot.spec.nickname}_{repeat}"
        return self._gallery.output_dir / "benchmarks" / "base_model" / benchmark_name(nickname, shot.size)

    def _facts(self, shot: Shot, step: int) -> dict[str, str]:
        sampling = self._gallery.sampling
        return {
            **(self._gallery.facts or {}),
            "prompt": shot.spec.prompt,
            "seed": str(shot.seed),
            "steps": str(sampling.steps),
            "guidance": str(sampling.guidance),
            "negative_prompt": self._studio.text.negative(sampling.negative)[0],
            "width": str(shot.size[0]),
            "height": str(shot.size[1]),
            "global_step": str(step),
        }


def _picture(path: Path, shot: Shot) -> Picture:
    return Picture(path, shot.spec.nickname, shot.spec.prompt, *shot.size)
