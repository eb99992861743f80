"""Scores the pictures of a validation: how well each fits its prompt, and how near it is to a training picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from simpletuner.core.errors import ConfigError
from simpletuner.core.events import Emit, Evaluated, Notice
from simpletuner.core.memory import give_back, is_exhausted
from simpletuner.validation.scores.clip import Clip, Eyes
from simpletuner.validation.scores.memorisation import Likeness, Thumbnails, Trained, warning
from simpletuner.validation.scores.scorer import PictureScore, PictureScorer, Seen
from simpletuner.validation.scores.summary import against_base, representatives, summary

Load = Callable[[torch.device], AbstractContextManager[Clip]]
"""Holds a CLIP on a device for as long as the block lasts."""
Named = Callable[[], Iterator[tuple[str, Image.Image]]]
"""The pictures trained on, by name, each once."""


@dataclass(frozen=True)
class Bench:
    """What is judged with: ``clip`` None scores nothing, ``training`` None looks for no copies.

    ``epoch_of`` tells the epoch (from 1) of an update.
    """

    clip: Load | None
    training: Named | None
    device: torch.device
    epoch_of: Callable[[int], int]


@dataclass(frozen=True)
class _Found:
    """The score of each picture that stands for its prompt, the base model's beside them, and the likeness of all."""

    scores: tuple[float, ...] = ()
    base: tuple[float, ...] = ()
    likeness: Likeness | None = None

    def metrics(self) -> dict[str, float]:
        scored = summary(self.scores) | against_base(self.scores, self.base) if self.scores else {}
        return scored | (self.likeness.metrics() if self.likeness else {})


class ClipScorer(PictureScorer):
    """Tells its numbers as an evaluation.

    The model is there only while it judges, and the training's random stream stays as it was. What cannot be judged
    is told; it never ends a run.
    """

    def __init__(self, bench: Bench, emit: Emit) -> None:
        self._bench = bench
        self._emit = emit
        self._base: dict[Path, float] = {}
        self._trained: Trained | None = None
        self._device = bench.device

    def score(self, step: int, seen: Sequence[Seen]) -> Sequence[PictureScore]:
        """The scores of the pictures that stand for their prompts."""
        verdicts = [PictureScore()] * len(seen)
        if not seen:
            return verdicts
        try:
            with torch.random.fork_rng(devices=[]), torch.no_grad():
                found = self._look(seen)
        except ConfigError as error:
            self._emit(Notice(f"step {step}: the pictures are not judged: {error.reason}", level="warning"))
            return verdicts
        if metrics := found.metrics():
            self._emit(Evaluated(step, self._bench.epoch_of(step), metrics))
        if found.likeness and (told := warning(step, seen, found.likeness)):
            self._emit(Notice(told, level="warning"))
        for place, score in zip(representatives(seen), found.scores, strict=False):
            verdicts[place] = PictureScore(round(score, 4))
        return verdicts

    def _look(self, seen: Sequence[Seen]) -> _Found:
        """On the device of the training, or on the CPU once there was no room beside it."""
        load = self._bench.clip
        if load is None:
            return _Found(likeness=self._likeness(seen, Thumbnails()))
        try:
            with load(self._device) as clip:
                return self._judged(seen, clip)
        except (MemoryError, RuntimeError) as error:
            if not is_exhausted(error) or self._device.type == "cpu":
                raise
        give_back()
        self._emit(Notice(f"no room for the CLIP on {self._device}: from here on it scores on the CPU"))
        self._device = torch.device("cpu")
        with load(self._device) as clip:
            return self._judged(seen, clip)

    def _judged(self, seen: Sequence[Seen], clip: Clip) -> _Found:
        chosen = [seen[place] for place in representatives(seen)]
        scores = _cosines(clip, [(one.image, one.prompt) for one in chosen])
        return _Found(scores, self._base_scores(chosen, clip), self._likeness(seen, clip))

    def _base_scores(self, chosen: Sequence[Seen], clip: Clip) -> tuple[float, ...]:
        """Of the benchmark's pictures, or nothing where one of them is missing."""
        paths = [one.base for one in chosen if one.base is not None and one.base.is_file()]
        if len(paths) < len(chosen):
            return ()
        fresh = [(path, one.prompt) for path, one in zip(paths, chosen, strict=True) if path not in self._base]
        pairs = [(_opened(path), prompt) for path, prompt in fresh]
        self._base |= dict(zip((path for path, _ in fresh), _cosines(clip, pairs), strict=True))
        return tuple(self._base[path] for path in paths)

    def _likeness(self, seen: Sequence[Seen], eyes: Eyes) -> Likeness | None:
        if self._bench.training is None:
            return None
        if self._trained is None:
            self._trained = Trained.seen_by(eyes, self._bench.training())
        if not self._trained.names:
            return None
        return Likeness.of(eyes.pictures(one.image for one in seen), self._trained)


def _cosines(clip: Clip, pairs: Sequence[tuple[Image.Image, str]]) -> tuple[float, ...]:
    """How well each picture fits its words."""
    if not pairs:
        return ()
    pictures, words = clip.pictures(image for image, _ in pairs), clip.prompts(prompt for _, prompt in pairs)
    return tuple((pictures * words).sum(dim=1).tolist())


def _opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")
