"""What a model card says of a run, gathered from its configuration and from what it has written."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from simpletuner.config.load import LoadedRun
from simpletuner.config.reading.resolutions import parse_resolutions
from simpletuner.config.rules.together import validation_seed
from simpletuner.observe.progress import Smoothed

Kind = Literal["lycoris", "lora", "full"]
_HUB_ID = re.compile(r"[\w-]+/[\w.-]+")
_LICENCES = {"shitao/omnigen-v1-diffusers": "mit", "shitao/omnigen-v1": "mit"}
_STEP = re.compile(r"step_(\d+)_")


@dataclass(frozen=True)
class Base:
    """The model trained from: ``source`` as others can name it, empty for the bundled tiny one, and its ``commit``."""

    source: str
    is_default: bool = False
    commit: str | None = None

    @property
    def is_on_hub(self) -> bool:
        """Whether ``source`` is a name of the hub."""
        return bool(_HUB_ID.fullmatch(self.source))

    @property
    def licence(self) -> str:
        """The hub's word for its licence."""
        if not self.source:
            return "apache-2.0"
        return _LICENCES.get(self.source.lower(), "unknown")


def base_of(source: str | Path, *, is_default: bool, commit: str | None = None) -> Base:
    """The base from where its weights were read; of a folder only the name is told."""
    if isinstance(source, Path):
        return Base("")
    if Path(source).expanduser().exists():
        return Base(f"path/to/{Path(source).expanduser().resolve().name}")
    return Base(source, is_default, commit)


@dataclass(frozen=True)
class Shown:
    """How pictures were drawn: ``size`` is (width, height) in pixels."""

    prompt: str
    negative: str
    size: tuple[int, int]
    steps: int
    guidance: float
    seed: int
    strength: float


@dataclass(frozen=True)
class ShownPicture:
    """A picture of the card: its name in the repository, what it was drawn from, whether input pictures stand in it."""

    name: str
    prompt: str
    negative: str = ""
    has_inputs: bool = False


@dataclass(frozen=True)
class Facts:
    """Everything a card says.

    ``metrics`` are the last values by their names; ``report`` what became of each data set, by its id, as in
    ``report.json``; ``processes`` trained together.
    """

    repository: str
    base: Base
    loaded: LoadedRun
    step: int
    epoch: int
    processes: int = 1
    metrics: Mapping[str, float] = field(default_factory=dict)
    report: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    pictures: tuple[ShownPicture, ...] = ()

    @property
    def kind(self) -> Kind:
        """What was trained."""
        if self.loaded.config.model.model_type == "full":
            return "full"
        return "lycoris" if self.loaded.config.adapter.lora_type == "lycoris" else "lora"

    @property
    def algo(self) -> str:
        """LyCORIS's name of the method; empty for anything else."""
        lycoris = self.loaded.lycoris
        return lycoris.algo if self.kind == "lycoris" and lycoris is not None else ""

    @property
    def drawn_with(self) -> str:
        """The repository's folder of the weights that drew the pictures: empty for its root, or ``ema/``."""
        ema = self.loaded.config.ema
        return "ema/" if ema.use_ema and ema.ema_validation == "ema_only" else ""

    @property
    def shown(self) -> Shown:
        """How the run draws."""
        config = self.loaded.config.validation
        first = self.pictures[0].prompt if self.pictures else ""
        return Shown(
            prompt=config.validation_prompt or first or "a red apple on a table",
            negative=config.validation_negative_prompt or "",
            size=parse_resolutions(config.validation_resolution)[0],
            steps=config.validation_num_inference_steps,
            guidance=config.validation_guidance,
            seed=validation_seed(self.loaded.config),
            strength=config.validation_lycoris_strength,
        )


def last_metrics(file: Path) -> dict[str, float]:
    """The last value of everything in ``metrics.jsonl``; ``train_loss`` smoothed, as on the console.

    Empty without such a file.
    """
    if not file.is_file():
        return {}
    found: dict[str, float] = {}
    losses: list[float] = []
    for line in file.read_text("utf-8", errors="replace").splitlines():
        record = _object(line)
        numbers = {key: float(value) for key, value in record.items() if isinstance(value, int | float)}
        found |= numbers
        losses += [numbers["train_loss"]] if "train_loss" in numbers else []
    if losses:
        found["train_loss"] = Smoothed.over(losses).mean
    return found


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def reported(file: Path) -> dict[str, dict[str, Any]]:
    """The data sets of ``report.json`` by their ids; empty without such a file."""
    if not file.is_file():
        return {}
    found = _object(file.read_text("utf-8", errors="replace")).get("datasets", [])
    return {str(entry["id"]): entry for entry in found}


def newest_pictures(folder: Path, step: int) -> Sequence[Path]:
    """The validation pictures of the last time they were drawn, at ``step`` or before; sorted by their names."""
    drawn: dict[int, list[Path]] = {}
    for path in sorted(folder.glob("step_*")) if folder.is_dir() else ():
        match = _STEP.match(path.name)
        if match and int(match[1]) <= step:
            drawn.setdefault(int(match[1]), []).append(path)
    return drawn[max(drawn)] if drawn else ()
