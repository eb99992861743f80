"""The action that evaluates: the base model once, then the model as it learns, on the same pictures and noise."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from simpletuner.core.events import Emit, Evaluated, Event, Notice
from simpletuner.core.progress import Progress
from simpletuner.core.samples import SampleId
from simpletuner.validation.loss.best import Found, Judged, alarm
from simpletuner.validation.loss.held_out import Bench, Measured, Weights, scalars
from simpletuner.validation.loss.paired import Mean, difference, mean_of

_LABEL = "evaluating"


@dataclass(frozen=True)
class Exam:
    """What is asked: pictures ``held_out``, by the name under which they are told, and pictures that are trained on
    (``seen``). ``references`` are fixed numbers to tell beside each name, such as the best linear denoiser's loss, and
    ``variance`` that of each name's target.
    """

    held_out: Mapping[str, tuple[SampleId, ...]]
    seen: tuple[SampleId, ...] = ()
    references: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    variance: Mapping[str, float] = field(default_factory=dict)

    def key(self, bench: Bench) -> str:
        """Stands for the pictures and the sigmas: numbers under another key cannot be compared."""
        named = {name: [str(sample) for sample in samples] for name, samples in sorted(self.held_out.items())}
        text = repr((named, [str(sample) for sample in self.seen], bench.sigmas))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Candidates:
    """The weights to evaluate: those ``live`` in training, their ``average``, the ``base`` model's where an adapter
    can be switched off.
    """

    live: Weights
    average: Weights | None = None
    base: Weights | None = None


class Evaluator:
    """Evaluates when ``is_due`` says so; see :class:`simpletuner.core.progress.Action`. All processes act together."""

    def __init__(
        self, bench: Bench, exam: Exam, candidates: Candidates, is_due: Callable[[int], bool], emit: Emit
    ) -> None:
        """``is_due`` is asked with the number of finished updates, of this run and of those before it."""
        self._bench = bench
        self._exam = exam
        self._candidates = candidates
        self._is_due = is_due
        self._emit = emit
        self._base: dict[str, Measured] = {}
        self._told_step = -1
        self.judged = Judged()
        self.on_best: Callable[[Progress], None] = lambda _progress: None

    def before_training(self, progress: Progress) -> None:
        """Measure the base model, unless a checkpoint has told; and what was due when an earlier run ended."""
        if self._exam.held_out and not self._base:
            self._measure_base(progress)
        if progress.step and self._is_due(progress.step) and self.judged.last < progress.step:
            self.evaluate(progress, _epoch(progress, epoch_ended=not progress.epoch_step))

    def after_update(self, progress: Progress, *, epoch_ended: bool) -> None:
        """Evaluate when due."""
        if self._is_due(progress.step):
            self.evaluate(progress, _epoch(progress, epoch_ended=epoch_ended))

    def evaluate(self, progress: Progress, epoch: int) -> None:
        """Measure all weights, tell what was found, and judge it. A step that is made again is not told again."""
        if not self._exam.held_out:
            return
        live = self._all(self._candidates.live, f"{_LABEL} step {progress.step}")
        average = self._all(self._candidates.average, f"{_LABEL} EMA") if self._candidates.average else {}
        seen = self._seen()
        metrics: dict[str, float] = {}
        for name, measured in live.items():
            metrics |= self._told(name, measured, average.get(name))
        metrics |= _with_error("loss/seen", mean_of(seen)) if seen else {}
        for name, measured in live.items():
            metrics |= scalars(f"loss/val/{name}", self._bench.sigmas, measured.curve)
        self._tell(Evaluated(progress.step, epoch, metrics), progress.step)
        held_out = tuple(loss for measured in live.values() for loss in measured.pictures)
        self._judge(Found(progress.step, held_out, seen), progress)
        self._told_step = max(self._told_step, progress.step)

    def _tell(self, event: Event, step: int) -> None:
        if step > self._told_step:
            self._emit(event)

    def _judge(self, found: Found, progress: Progress) -> None:
        warning = alarm(self.judged, found)
        self.judged = self.judged.after(found)
        if warning:
            self._tell(Notice(warning, level="warning"), found.step)
        if self.judged.is_best(found.step):
            self.on_best(progress)

    def _all(self, weights: Weights, label: str) -> dict[str, Measured]:
        return {
            name: Measured.of(self._bench.measure(samples, weights, f"{label} ({name})", self._emit))
            for name, samples in self._exam.held_out.items()
        }

    def _seen(self) -> tuple[float, ...]:
        if not self._exam.seen:
            return ()
        label = f"{_LABEL} pictures trained on"
        return Measured.of(self._bench.measure(self._exam.seen, self._candidates.live, label, self._emit)).pictures

    def _measure_base(self, progress: Progress) -> None:
        """Of a model that is trained whole only its first weights are the base's."""
        weights = self._candidates.base or (self._candidates.live if progress.step == 0 else None)
        if weights is None:
            return
        self._base = self._all(weights, f"{_LABEL} base model")
        metrics: dict[str, float] = {}
        for name, measured in self._base.items():
            metrics |= {f"loss/val/{name}/base": mean_of(measured.pictures).value}
            metrics |= {f"loss/val/{name}/{key}": value for key, value in self._exam.references.get(name, {}).items()}
        for name, measured in self._base.items():
            metrics |= scalars(f"loss/val/{name}/base", self._bench.sigmas, measured.curve)
        self._emit(Evaluated(progress.step, _epoch(progress, epoch_ended=False), metrics))

    def _told(self, name: str, measured: Measured, average: Measured | None) -> dict[str, float]:
        """The mean with its error; what it explains; how far it lies below the base model's; that of the average."""
        key = f"loss/val/{name}"
        told = _with_error(key, mean_of(measured.pictures))
        if name in self._base:
            base = self._base[name].pictures
            told |= _with_error(f"{key}/gain", difference(base, measured.pictures))
            told |= {f"{key}/base": mean_of(base).value}
        if average is not None:
            told |= _with_error(f"{key}/ema", mean_of(average.pictures))
        if name in self._exam.variance:
            told |= {f"{key}/explained": 1 - told[key] / self._exam.variance[name]}
        return told | {f"{key}/{word}": value for word, value in self._exam.references.get(name, {}).items()}

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, as JSON values."""
        base = {name: asdict(measured) for name, measured in self._base.items()}
        return {"key": self._exam.key(self._bench), "base": base, "judged": self.judged.write()}

    def was_told(self, step: int, told: Mapping[str, Any]) -> None:
        """An earlier run has ``told`` these numbers of ``step``: an evaluation among them is not told again.

        A :meth:`restore` after it may find that its pictures or sigmas were others.
        """
        if any(f"loss/val/{name}" in told for name in self._exam.held_out):
            self._told_step = max(self._told_step, step)

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Go on from :meth:`state`, whatever came after it.

        With other pictures or sigmas everything is measured anew, and that is told.
        """
        self.judged = Judged()
        if not saved or not self._exam.held_out:
            return
        if saved["key"] != self._exam.key(self._bench):
            self._emit(Notice("the pictures or noise levels of the evaluation have changed: it begins anew"))
            self._told_step = -1
            return
        self._base = {
            name: Measured(tuple(found["pictures"]), tuple(found["curve"])) for name, found in saved["base"].items()
        }
        self.judged = Judged.read(saved["judged"])


def _with_error(name: str, mean: Mean) -> dict[str, float]:
    return {name: mean.value} | ({f"{name}/se": mean.error} if mean.error is not None else {})


def _epoch(progress: Progress, *, epoch_ended: bool) -> int:
    """The epoch of the last update, from 1."""
    return max(1, progress.epoch if epoch_ended else progress.epoch + 1)
