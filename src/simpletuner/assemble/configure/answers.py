"""What the wizard asks: every answer by its name, what may be answered, and the options that mean the same."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from simpletuner.assemble.configure.cards import CARDS
from simpletuner.config.lenient import plain_type
from simpletuner.config.problems import near
from simpletuner.config.reading.names import OPPOSITES, RENAMED, bare_name
from simpletuner.config.reading.not_here import absent
from simpletuner.config.reading.other_names import ELSEWHERE, meant
from simpletuner.config.reading.resolutions import MULTIPLE, parse_resolutions
from simpletuner.config.rules.together import trackers
from simpletuner.config.run import OPTIONS
from simpletuner.core.errors import ConfigError

COMMAND_LINE = "command line"
_FACTOR = re.compile(r"(\d+)(?:/(\d+))?")
_SMALLEST_EDGE = 32


@dataclass(frozen=True)
class Answers:
    """All that decides the files, in the order in which it is asked; the names are those of ``--yes name=value``.

    Folders are as the user wrote them. ``factor`` is LoKr's, of attention and feed-forward with a slash between, or of
    both. Empty texts are none; 0 ``steps`` leaves the length as it is. ``more`` are options by their own names.
    """

    card: str
    devices: int
    teach: str
    pictures: str
    captions: str
    words: str
    resolution: str
    crop: str
    batch: int
    repeats: int
    adapter: str
    factor: str
    rank: int
    steps: int
    learning_rate: float
    prompt: str
    previews: int
    draw: str
    held_out: str
    output: str
    reports: str
    hub: str
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def edges(self) -> tuple[int, ...]:
        """The training sizes in pixels, the one that counts first."""
        return (1024, 512) if self.resolution == "both" else (int(self.resolution),)

    @property
    def factors(self) -> tuple[int, int]:
        """LoKr's factors of attention and of feed-forward layers."""
        first, _, second = self.factor.partition("/")
        return int(first), int(second or first)


NAMES = tuple(declared.name for declared in fields(Answers) if declared.name != "more")
CHOICES: dict[str, tuple[str, ...]] = {
    "card": tuple(CARDS),
    "teach": ("subject", "style", "general"),
    "captions": ("textfile", "filename", "instanceprompt"),
    "crop": ("keep", "square"),
    "adapter": ("lokr", "lora", "other"),
}
# Options that an answer sets under another name.
ALIASES = {
    "num_processes": "devices",
    "instance_data_dir": "pictures",
    "caption_strategy": "captions",
    "instance_prompt": "words",
    "train_batch_size": "batch",
    "lora_rank": "rank",
    "max_train_steps": "steps",
    "validation_prompt": "prompt",
    "validation_step_interval": "previews",
    "validation_resolution": "draw",
    "output_dir": "output",
    "report_to": "reports",
    "hub_model_id": "hub",
}
_LEAST = {"devices": 1, "batch": 1, "repeats": 0, "rank": 1, "steps": 1, "previews": 0}


def parse(name: str, text: str) -> Any:
    """The value of the answer ``name``. Raises ConfigError with that name as its key."""
    text = text.strip()
    if name in CHOICES and text not in CHOICES[name]:
        cure = near(text, CHOICES[name]) or f"one of: {', '.join(CHOICES[name])}"
        raise ConfigError(f"'{text}' is no answer", key=name, cure=cure)
    if name in _LEAST:
        return _whole(name, text)
    return _READERS[name](text) if name in _READERS else text


def _whole(name: str, text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise ConfigError(f"'{text}' is no whole number", key=name, cure=f"{_LEAST[name]} or more") from None
    if value < _LEAST[name]:
        raise ConfigError(f"{value} is too few", key=name, cure=f"{_LEAST[name]} or more")
    return value


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not (rate > 0 and math.isfinite(rate)):
        raise ConfigError(f"'{text}' is no rate", key="learning_rate", cure="a number above 0, for instance 1e-4")
    return rate


def _resolution(text: str) -> str:
    if text != "both" and not (text.isdecimal() and int(text) >= _SMALLEST_EDGE):
        cure = f"1024, 512, both, or another edge in pixels from {_SMALLEST_EDGE}"
        raise ConfigError(f"'{text}' is no size", key="resolution", cure=cure)
    return text


def _factor(text: str) -> str:
    match = _FACTOR.fullmatch(text)
    if match is None or int(match[1]) == 0 or match[2] == "0":
        cure = "a number, or two with a slash for attention and feed-forward: 16/8"
        raise ConfigError(f"'{text}' is no factor", key="factor", cure=cure)
    return text


def _sizes(text: str) -> str:
    try:
        parse_resolutions(text)
    except ConfigError as error:
        raise ConfigError(error.reason, key="draw", cure=error.cure) from None
    for edge in (int(number) for number in re.findall(r"\d{2,}", text)):
        if edge >= MULTIPLE and edge % MULTIPLE:
            below = edge // MULTIPLE * MULTIPLE
            cure = f"{below} or {below + MULTIPLE}"
            raise ConfigError(f"{edge} is no multiple of {MULTIPLE}, as OmniGen's pictures are", key="draw", cure=cure)
    return text


def _reports(text: str) -> str:
    try:
        return ",".join(trackers(text)) or "none"
    except ConfigError as error:
        raise ConfigError(error.reason, key="reports", cure=error.cure) from None


_READERS: dict[str, Callable[[str], Any]] = {
    "learning_rate": _rate,
    "resolution": _resolution,
    "factor": _factor,
    "draw": _sizes,
    "reports": _reports,
}


def parse_words(pairs: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Answers, and options beside them, from the words of a command line. Raises ConfigError for unknown names."""
    given: dict[str, Any] = {}
    more: dict[str, Any] = {}
    for key, text in pairs.items():
        name = bare_name(key)
        name = RENAMED.get(name, name)
        try:
            if (answer := ALIASES.get(name, name)) in NAMES:
                given[answer] = parse(answer, text)
            else:
                more[_known(name)] = typed(name, text)
        except ConfigError as error:
            raise ConfigError(error.reason, file=COMMAND_LINE, key=key, cure=error.cure) from None
    return given, more


def _known(name: str) -> str:
    if name in OPTIONS or name in OPPOSITES or absent(name) is not None:
        return name
    cure = meant(name, [*NAMES, *OPTIONS], ELSEWHERE) or f"answers are {', '.join(NAMES)}; any option may follow"
    raise ConfigError("is neither an answer nor an option", cure=cure)


def typed(name: str, text: str) -> Any:
    """The value of an option as JSON would have it: a number or a switch where the option is one, else the text."""
    kind = plain_type(OPTIONS[name].declared.annotation) if name in OPTIONS else str
    if kind is bool and text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return kind(text) if kind in (int, float) else text
    except ValueError:
        return text
