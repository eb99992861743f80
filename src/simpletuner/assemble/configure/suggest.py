"""What the wizard would answer itself: each answer from those before it, the machine and the pictures. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from simpletuner.assemble.configure.answers import NAMES, Answers
from simpletuner.assemble.configure.cards import CARDS, DOCUMENTS_CARD, Card, Machine, usual_batch
from simpletuner.assemble.configure.files import name_of
from simpletuner.data.report.report import DatasetReport

DOCUMENTS_PROMPT = "A photo-realistic image of a cat"
DOCUMENTS_FACTOR = "16/8"
ADAMW_RATE = 1e-4
LION_RATE = 2e-5
TINY_RATE = 1e-3
"""Of the bundled examples, and the edge in pixels that the tiny model draws best."""
TINY_EDGE = 64
# Uses of each picture in a whole run. A place to begin, not a measured best.
_USES = {"subject": 100, "style": 60, "general": 20}
_LARGE_ENOUGH = 900
_MANY_UPDATES = 40


@dataclass(frozen=True)
class Folder:
    """The pictures as they were looked at: ``edge`` is the median of the square roots of their areas, in pixels.

    ``texts`` counts those with a text file, ``named`` those whose names have a word in them.
    """

    report: DatasetReport
    edge: int = 0
    texts: int = 0
    named: int = 0

    @property
    def pictures(self) -> int:
        """Those that are used."""
        return self.report.used

    @property
    def without_text(self) -> int:
        """Those without a text file: left out for it, or looked at with another caption."""
        captions = self.report.captions
        return self.pictures - self.texts + (captions.missing if captions else 0)


@dataclass(frozen=True)
class Facts:
    """What is known beside answers: the machine, and the pictures once their folder is named."""

    machine: Machine = field(default_factory=Machine)
    folder: Folder | None = None

    @property
    def pictures(self) -> int:
        """How many are used; 0 is not known."""
        return self.folder.pictures if self.folder else 0


Values = Mapping[str, Any]


def suggest(name: str, values: Values, facts: Facts) -> Any:
    """A default for the answer ``name``, from ``values`` of the answers before it."""
    found = _SUGGESTIONS[name]
    return found(values, facts) if callable(found) else found


def complete(given: Values, facts: Facts, more: Mapping[str, Any] | None = None) -> Answers:
    """Every answer: those ``given``, and suggestions for the others."""
    values: dict[str, Any] = {}
    for name in NAMES:
        known = {"more": more or {}, **given, **values}
        values[name] = given[name] if name in given else suggest(name, known, facts)
    return Answers(**values, more=dict(more or {}))


def edge_of(values: Values) -> int:
    """The largest training size, in pixels."""
    return 1024 if values["resolution"] == "both" else int(values["resolution"])


def usual_rate(optimizer: str, card: Card) -> float | None:
    """The learning rate that suits LoKr with this optimizer; None where nothing is known of it."""
    if "lion" in optimizer:
        return LION_RATE
    if "adam" not in optimizer or "prodigy" in optimizer:
        return None
    return TINY_RATE if card.flavour else ADAMW_RATE


def _rate(values: Values, _facts: Facts) -> float:
    """Prodigy finds its own rate, and takes 1 for it."""
    optimizer = str(values["more"].get("optimizer", "adamw_bf16"))
    return 1.0 if optimizer == "prodigy" else usual_rate(optimizer, CARDS[values["card"]]) or ADAMW_RATE


def _captions(values: Values, facts: Facts) -> str:
    folder = facts.folder
    if folder and folder.texts * 2 >= max(1, folder.pictures):
        return "textfile"
    if values["teach"] == "subject" or (folder and folder.named * 2 < folder.pictures):
        return "instanceprompt"
    return "filename"


def _words(values: Values, _facts: Facts) -> str:
    return name_of(values["pictures"]).replace("-", " ") if values["captions"] == "instanceprompt" else ""


def _resolution(values: Values, facts: Facts) -> str:
    if CARDS[values["card"]].flavour:
        return str(TINY_EDGE)
    return "512" if facts.folder and facts.folder.edge < _LARGE_ENOUGH else "1024"


def _batch(values: Values, facts: Facts) -> int:
    usual = usual_batch(CARDS[values["card"]], edge_of(values))
    return max(1, min(usual, facts.pictures or usual))


def _repeats(values: Values, facts: Facts) -> int:
    """The fewest that fill an update from the smallest bucket; among many pictures a small bucket does not matter."""
    update = values["batch"] * values["devices"]
    if facts.folder is None or facts.pictures > _MANY_UPDATES * update:
        return 0
    smallest = min(facts.folder.report.buckets.values(), default=update)
    return int(max(0, -(-update // smallest) - 1))


def _steps(values: Values, facts: Facts) -> int:
    updates = _USES[values["teach"]] * (facts.pictures or 20) / (values["batch"] * values["devices"])
    return int(max(500, min(10_000, round(updates / 100) * 100)))


def _prompt(values: Values, _facts: Facts) -> str:
    words = values["words"]
    if not words:
        return DOCUMENTS_PROMPT
    return f"a photo of {words}" if values["teach"] == "subject" else f"{words}, a cat"


def _previews(values: Values, _facts: Facts) -> int:
    return int(max(50, min(500, round(values["steps"] / 500) * 50)))


def _draw(values: Values, _facts: Facts) -> str:
    edge = max(16, round(edge_of(values) / 16) * 16)
    return f"{edge}x{edge}"


_SUGGESTIONS: dict[str, Any | Callable[[Values, Facts], Any]] = {
    "card": lambda _values, facts: facts.machine.kind or DOCUMENTS_CARD,
    "devices": 1,
    "teach": "subject",
    "pictures": "",
    "captions": _captions,
    "words": _words,
    "resolution": _resolution,
    "crop": "keep",
    "batch": _batch,
    "repeats": _repeats,
    "adapter": "lokr",
    "factor": DOCUMENTS_FACTOR,
    "rank": 16,
    "steps": _steps,
    "learning_rate": _rate,
    "prompt": _prompt,
    "previews": _previews,
    "draw": _draw,
    "held_out": "",
    "output": lambda values, _facts: f"output/{name_of(values['pictures'])}",
    "reports": "tensorboard",
    "hub": "",
}
