"""The action that draws: the base model once, then the model as it learns, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from PIL import Image

from simpletuner.core.disk import disk_error
from simpletuner.core.events import Emit, ImagesRendered, Picture, StageProgress
from simpletuner.core.memory import is_exhausted
from simpletuner.core.progress import Progress
from simpletuner.core.stages import told_stage
from simpletuner.diffusion.sampler import SamplingStep
from simpletuner.validation.gallery import Gallery, Shot, shots
from simpletuner.validation.preview import Previews
from simpletuner.validation.recipe import panel_facts, panel_seeds
from simpletuner.validation.render import Studio, facts_of, render
from simpletuner.validation.save import read_facts, save_picture
from simpletuner.validation.schedule import Schedule, due, due_at_end, due_at_start
from simpletuner.validation.scores.scorer import PictureScore, PictureScorer, Seen
from simpletuner.validation.stitch import Panel, compose

Weights = Callable[[float | None], AbstractContextManager[None]]
"""Puts one kind of weights (base, live, averaged) in place for as long as the block lasts.

Its adapter is as strong as the number says; None leaves that to the run.
"""

BASE = "base model"
_BENCHMARK, _STAGE, _FINAL = "benchmark_base_model", "validation", "final_validation"


@dataclass(frozen=True)
class _Drawn:
    """A picture and the digest of the adapter that drew it."""

    image: Image.Image
    digest: str


@dataclass(frozen=True)
class _Session:
    """What is drawn for: a stage after update ``step``, of whose ``total`` sampling steps ``before`` are done."""

    stage: str
    step: int
    total: int
    before: int = 0

    def later(self, steps: int) -> _Session:
        return replace(self, before=self.before + steps)


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
        self._previews = Previews(studio.load_preview, gallery, emit)
        self.scorer: PictureScorer = PictureScorer()

    def before_training(self, progress: Progress) -> None:
        """The benchmark, unless its pictures are there already, and the start-up pictures when asked for.

        A run that ended after an update and before its pictures were drawn draws them when it goes on; those that it
        has drawn of this step stay.
        """
        if BASE in self._weights and self._gallery.prompts:
            self._benchmark()
        is_asked = due_at_start(self._schedule) and not (progress.step and self._are_drawn(progress.step))
        if is_asked or self._is_owed(progress):
            self.validate(progress.step)

    def after_update(self, progress: Progress, *, epoch_ended: bool) -> None:
        """Draw when due."""
        if self.is_due(progress, epoch_ended=epoch_ended):
            self.validate(progress.step)

    def is_due(self, progress: Progress, *, epoch_ended: bool) -> bool:
        """Whether to draw after this update."""
        return due(self._schedule, progress, epoch_ended=epoch_ended)

    def at_end(self, progress: Progress) -> None:
        """Draw the final weights, unless these very weights were just drawn, here or before a restart."""
        if self._schedule.is_off or not self._gallery.prompts:
            return
        with told_stage(self._emit, _FINAL, _is_left_out):
            if due_at_end(self._schedule, progress.step, self._last) and not self._are_drawn(progress.step):
                self._render(progress.step, _FINAL)

    def _is_owed(self, progress: Progress) -> bool:
        from_the_start = replace(self._schedule, first_step=0)
        ended = bool(progress.epoch and not progress.epoch_step)
        return due(from_the_start, progress, epoch_ended=ended) and not self._are_drawn(progress.step)

    def _are_drawn(self, step: int) -> bool:
        return all(self._is_drawn(self._gallery.path(shot, step), shot, step) for shot in shots(self._gallery, step))

    def validate(self, step: int) -> None:
        """Draw every shot with the current weights and save it, stitched to the base model's when there is one."""
        if self._gallery.prompts:
            with told_stage(self._emit, _STAGE, _is_left_out):
                self._render(step, _STAGE)

    def _render(self, step: int, stage: str) -> None:
        wanted = list(shots(self._gallery, step))
        current = [label for label in self._weights if label != BASE]
        once = len(wanted) * self._gallery.sampling.steps
        session = _Session(stage, step, once * len(current))
        drawn = {label: self._draw(wanted, label, session.later(number * once)) for number, label in enumerate(current)}
        verdicts = self.scorer.score(step, self._seen(wanted, drawn)) if drawn else [PictureScore()] * len(wanted)
        pictures = tuple(
            self._save(shot, step, {label: seen[number] for label, seen in drawn.items()}, verdicts[number])
            for number, shot in enumerate(wanted)
        )
        self._last = step
        self._emit(ImagesRendered(step, "validation", pictures))

    def _seen(self, wanted: Sequence[Shot], drawn: Mapping[str, Sequence[_Drawn]]) -> list[Seen]:
        """The pictures as they are, of the first panel; the benchmark's beside them."""
        images = [one.image for one in next(iter(drawn.values()))]
        has_base = BASE in self._weights
        return [
            Seen(shot.spec.nickname, shot.spec.prompt, image, self._gallery.base_path(shot) if has_base else None)
            for shot, image in zip(wanted, images, strict=True)
        ]

    def _benchmark(self) -> None:
        wanted = shots(self._gallery)
        missing = [shot for shot in wanted if not self._is_drawn(self._gallery.base_path(shot), shot, 0)]
        if missing:
            with told_stage(self._emit, _BENCHMARK, _is_left_out):
                self._draw_base(missing)

    def _draw_base(self, missing: Sequence[Shot]) -> None:
        session = _Session(_BENCHMARK, 0, len(missing) * self._gallery.sampling.steps)
        for shot, drawn in zip(missing, self._draw(missing, BASE, session), strict=True):
            panel = panel_facts((Panel(BASE, drawn.image),), ("",), shot.spec)
            facts = self._facts(shot, 0) | panel | self._gallery.notes_of(shot)
            save_picture(drawn.image, self._gallery.base_path(shot), "png", 100, facts)
        pictures = tuple(_picture(self._gallery.base_path(shot), shot) for shot in missing)
        self._emit(ImagesRendered(0, "benchmark", pictures))

    def _is_drawn(self, path: Path, shot: Shot, step: int) -> bool:
        """Whether ``path`` shows this very shot: same prompt, seed, steps, guidance and model."""
        return path.exists() and self._facts(shot, step).items() <= read_facts(path).items()

    def _draw(self, wanted: Sequence[Shot], label: str, session: _Session) -> list[_Drawn]:
        self._previews.prepare()
        drawn: list[_Drawn] = []
        for strength, group in groupby(wanted, lambda shot: shot.spec.strength):
            with self._weights[label](strength):
                digest = "" if label == BASE else self._studio.adapter_digest()
                for shot in group:
                    done = session.later(len(drawn) * self._gallery.sampling.steps)
                    drawn.append(_Drawn(self._draw_one(shot, label, done), digest))
        return drawn

    def _draw_one(self, shot: Shot, label: str, session: _Session) -> Image.Image:
        told, panel = f"{session.stage}: {shot.spec.nickname}", label.format(step=session.step)

        def on_step(sampled: SamplingStep) -> None:
            self._previews.show(sampled, shot.spec, session.step, panel, is_base=label == BASE)
            self._emit(StageProgress(session.stage, told, session.before + sampled.number, session.total))

        sampling = replace(self._gallery.sampling, seed=shot.seed)
        inputs = [picture.image for picture in shot.spec.pictures]
        return render(self._studio, shot.spec.prompt, shot.size, sampling, on_step, inputs)

    def _save(self, shot: Shot, step: int, drawn: Mapping[str, _Drawn], verdict: PictureScore) -> Picture:
        panels = [Panel(label.format(step=step), one.image) for label, one in drawn.items()]
        digests, seeds = [one.digest for one in drawn.values()], [shot.seed] * len(drawn)
        base = self._gallery.base_path(shot)
        if BASE in self._weights and base.exists():
            with Image.open(base) as stored:
                panels.insert(0, Panel(BASE, stored.convert("RGB")))
            digests.insert(0, "")
            seeds.insert(0, self._gallery.base_seed(shot))
        inputs = [picture.image for picture in shot.spec.pictures]
        image = compose(panels, inputs, self._gallery.input_side, shot.spec.prompt)
        made = panel_facts(panels, digests, shot.spec) | panel_seeds(seeds) | self._gallery.notes_of(shot)
        facts = self._facts(shot, step) | made | verdict.facts
        path = self._gallery.path(shot, step)
        save_picture(image, path, self._gallery.picture_format, self._gallery.quality, facts)
        return replace(_picture(path, shot), score=verdict.score)

    def _facts(self, shot: Shot, step: int) -> dict[str, str]:
        sampling = replace(self._gallery.sampling, seed=shot.seed)
        return {**(self._gallery.facts or {}), **facts_of(self._studio, shot.spec, shot.size, sampling, step)}


def _picture(path: Path, shot: Shot) -> Picture:
    return Picture(path, shot.spec.nickname, shot.spec.prompt, *shot.size)


def _is_left_out(error: BaseException) -> bool:
    """Whether training goes on without the pictures: there is no memory for them, or no room on the disk."""
    return is_exhausted(error) or (isinstance(error, OSError) and disk_error(error, "") is not None)
