"""What it costs a run to be watched: the bundled example with everything on, with everything off, and in trouble.

``python -m benchmarks.observing --json FILE``. The three take turns, a process each. Everything on: every tracker that
is installed, offline; the page; a webhook on this machine with previews; the base model's pictures, the loss on held
out pictures, CLIP scores. In trouble: receivers that answer 500 or 429, never answer or are not there, and a tracker
whose server is down. Steps are compared where all of them only trained: nothing was drawn, evaluated or saved.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean, median
from typing import Any

from PIL import Image, ImageOps

from benchmarks.heard import Note, Step, clean_steps, read
from benchmarks.receivers import arrived, serving, trouble
from benchmarks.report import a_parser, log_to_screen, measure_all
from benchmarks.runs import ADAPTER, EXAMPLE, Run
from benchmarks.timing import Figures
from scripts.tiny.files import read_json
from simpletuner.config.reading.find import example_folder
from simpletuner.core.files import sha256, write_json

_MODULE = ("-m", "benchmarks.heard")
_HELD_OUT, _HELD_OUT_ID = 8, "held-out"
_TOLD = (
    *("loss/explained", "loss/linear_reference", f"loss/val/{_HELD_OUT_ID}", f"loss/val/{_HELD_OUT_ID}/gain"),
    *("clip/mean", "clip/gain", "memorisation/max"),
)
_OFFLINE = {"WANDB_MODE": "offline", "COMET_START_ONLINE": "false", "SWANLAB_MODE": "offline"}
# A port where nobody listens; the key has the length of a true one.
_DOWN = {"WANDB_BASE_URL": "http://127.0.0.1:1", "WANDB_API_KEY": "0" * 40}
_NOT_INHERITED = ("WANDB_", "COMET_", "SWANLAB_")
_ALONE: Mapping[str, object] = {"validation_disable": True, "report_to": "none"}
_WATCHED: Mapping[str, object] = {
    "report_to": "all",
    "validation_preview": True,
    "validation_preview_steps": 5,
    "eval_steps_interval": 20,
    "evaluation_type": "clip",
}
_IN_TROUBLE: Mapping[str, object] = {"validation_disable": True, "report_to": "tensorboard,wandb,simpletuner"}
_SMALL: Mapping[str, object] = {
    "train_batch_size": 2,
    "checkpoint_step_interval": 3,
    "validation_step_interval": 3,
    "validation_num_inference_steps": 10,
    "user_prompt_library": "",
}
_SMALL_WATCHED = {"report_to": "tensorboard,simpletuner", "eval_timesteps": 2, "eval_steps_interval": 3}
_SMALL_IN_TROUBLE = {"report_to": "simpletuner"}
_ALLOWED = 0.05


@dataclass(frozen=True)
class Taken:
    """One run: what its main thread told, what it took as a whole, the hash of its weights, what there is to see."""

    notes: Sequence[Note]
    whole: Figures
    weights: str
    seen: Figures

    @property
    def delays(self) -> list[float]:
        """Seconds for which each step waited for those who listen."""
        return [note.listening for note in self.notes if note.kind == "StepDone"]


@dataclass(frozen=True)
class Trial:
    """Runs of ``steps`` updates, each in a folder below ``work``; quick ones are small, without trackers' processes."""

    work: Path
    steps: int
    quick: bool = False

    def alone(self, name: str) -> Taken:
        """With everything off."""
        return self._taken(name, _ALONE, {})

    def watched(self, name: str) -> Taken:
        """With everything on."""
        with serving(204) as receiver:
            seen = {"webhook_config": self._hooks(name, [receiver.url]), "data_backend_config": self._data(name)}
            taken = self._taken(name, {**_WATCHED, **(_SMALL_WATCHED if self.quick else {}), **seen}, _OFFLINE)
            return replace(taken, seen=taken.seen | arrived(receiver.messages()))

    def in_trouble(self, name: str) -> Taken:
        """Where nobody who is told hears it."""
        with trouble() as urls:
            options = {**_IN_TROUBLE, "webhook_config": self._hooks(name, urls)}
            return self._taken(name, {**options, **(_SMALL_IN_TROUBLE if self.quick else {})}, _DOWN)

    def _taken(self, name: str, options: Mapping[str, object], environ: Mapping[str, str]) -> Taken:
        notes = self.work / f"{name}.notes.json"
        every = {"max_train_steps": self.steps, **(_SMALL if self.quick else {}), **options}
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(_NOT_INHERITED)}
        mine = {**inherited, **environ, "HOME": str(self.work)}
        run = Run(self.work / name, every, (*_MODULE, str(notes)), mine).finish()
        return Taken(*read(notes), sha256(run.folder / ADAPTER), left(run))

    def _hooks(self, name: str, urls: Sequence[str]) -> Path:
        file = self.work / f"{name}.hooks.json"
        write_json(file, [{"webhook_type": "raw", "webhook_url": url} for url in urls])
        return file

    def _data(self, name: str) -> Path:
        """The example's data, and some of its pictures mirrored, which are held out."""
        images, held = example_folder(EXAMPLE) / "images", self.work / f"{name}.held"
        held.mkdir()
        for file in sorted(images.glob("*.png"))[:_HELD_OUT]:
            with Image.open(file) as image:
                ImageOps.mirror(image.convert("RGB")).save(held / file.name)
        trained, *others = read_json(example_folder(EXAMPLE) / "multidatabackend.json")
        trained = {**trained, "instance_data_dir": str(images)}
        kept = {**trained, "id": _HELD_OUT_ID, "dataset_type": "eval", "instance_data_dir": str(held), "repeats": 0}
        file = self.work / f"{name}.data.json"
        write_json(file, [trained, kept, *others])
        return file


def left(run: Run) -> Figures:
    """What a run has left to be seen: the names of its numbers, pictures, the page, and the trackers' own files."""
    told = {name for record in run.records() for name in record}
    return {
        "told": sorted(name for name in _TOLD if name in told),
        "points_of_the_curve": sum(name.startswith(f"chart/loss/val/{_HELD_OUT_ID}/0") for name in told),
        "pictures": len(list(run.folder.glob("validation_images/*.png"))),
        "page": (run.folder / "training_report.html").is_file(),
        "logs": sorted({file.relative_to(run.folder / "logs").parts[0] for file in run.folder.glob("logs/*/**/*")}),
        "tensorboard": any(run.folder.glob("logs/events*")),
    }


def observing(trial: Trial, pairs: int) -> Figures:
    """Watched and in trouble beside alone: how much slower, the longest wait of a step, and whether weights differ."""
    ways: Mapping[str, Callable[[str], Taken]] = {
        "alone": trial.alone,
        "watched": trial.watched,
        "in_trouble": trial.in_trouble,
    }
    taken: dict[str, list[Taken]] = {way: [] for way in ways}
    for number in range(pairs):
        # Forth and back, so that what a machine does slower and slower is counted for nobody.
        for way, train in list(ways.items())[:: -1 if number % 2 else 1]:
            taken[way].append(train(f"{way}-{number}"))
    weights = {run.weights for runs in taken.values() for run in runs}
    return {
        "pairs": pairs,
        "steps": trial.steps,
        "same_weights": len(weights) == 1,
        "weights": sorted(weights),
        **{way: _figures(runs, taken["alone"]) for way, runs in taken.items()},
        "seen_of_watched": taken["watched"][0].seen,
    }


def _figures(runs: Sequence[Taken], alone: Sequence[Taken]) -> Figures:
    """Of one way, and how much slower its steps are than those of the runs alone beside it, as a part."""
    pairs = [compared(clean_steps(run.notes), clean_steps(other.notes)) for run, other in zip(runs, alone, strict=True)]
    slower = {name: [pair[name] for pair in pairs] for name in pairs[0]} if runs is not alone else {}
    delays = [delay for run in runs for delay in run.delays]
    return {
        **{f"{clock}_a_step": median(_of(run, clock) for run in runs) for clock in Step.__dataclass_fields__},
        **{f"slower_{name}": median(found) for name, found in slower.items()},
        **{f"slower_{name}_range": [min(found), max(found)] for name, found in slower.items()},
        "delay_of_a_step": median(delays),
        "longest_delay_of_a_step": max(delays),
        "steps_delayed_too_long": sum(delay > _ALLOWED for delay in delays),
        "longest_computing_for_listeners": max(note.computing for run in runs for note in run.notes if note.step),
        **{name: median(run.whole[name] for run in runs) for name in runs[0].whole},
        "listening_seconds": _listening(runs),
    }


def compared(watched: Mapping[int, Step], alone: Mapping[int, Step]) -> Figures:
    """How much longer the steps that both have took: of the middle step and of the mean, by each clock, as a part."""
    both = sorted(watched.keys() & alone.keys())
    found: dict[str, Any] = {}
    for clock in Step.__dataclass_fields__:
        one, other = ([getattr(steps[step], clock) for step in both] for steps in (watched, alone))
        found |= {f"{clock}_median": median(one) / median(other) - 1, f"{clock}_mean": fmean(one) / fmean(other) - 1}
    return found


def _of(run: Taken, clock: str) -> float:
    return median(getattr(step, clock) for step in clean_steps(run.notes).values())


def _listening(runs: Sequence[Taken]) -> dict[str, float]:
    """All that a run waited for who listens, by the kind of the event: the median of the runs."""
    kinds = dict.fromkeys(note.kind for run in runs for note in run.notes)
    return {
        kind: median(sum(note.listening for note in run.notes if note.kind == kind) for run in runs) for kind in kinds
    }


def main(words: Sequence[str] | None = None) -> None:
    """Read the command line, measure, write."""
    given = _parser().parse_args(words)
    log_to_screen()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=given.work) as made:
        trial = Trial(Path(made).resolve(), given.steps or (6 if given.quick else 60), given.quick)
        measure_all({"observing": partial(observing, trial, 1 if given.quick else given.pairs)}, given.json)


def _parser() -> argparse.ArgumentParser:
    parser = a_parser("observing", __doc__)
    add = parser.add_argument
    add("--pairs", type=int, default=5, help="runs of each of the three; medians are told (5)")
    add("--steps", type=int, help="updates of each run (60, as the example)")
    add("--work", type=Path, help="a folder for the runs, which are deleted (the system's temporary one)")
    add("--quick", action="store_true", help="small and once, to see that it works; no figure means much")
    return parser


if __name__ == "__main__":
    main()
