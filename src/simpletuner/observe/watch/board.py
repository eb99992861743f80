"""What a run has told so far over its webhook, kept for the page: bounded, whoever sends."""

from __future__ import annotations

import base64
import binascii
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_MOST_POINTS = 20_000
_MOST_MESSAGES = 100
_MOST_PICTURES = 48
_MOST_STAGES = 12
_MOST_BYTES = 128 << 20
_LONGEST = 4000
_OVER = ("completed", "failed", "interrupted")
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Shown:
    """A received picture. ``series`` is what it is one of: a nickname and a size; ``place`` its sampling step."""

    name: str
    caption: str
    series: str
    place: int
    is_preview: bool
    content: bytes = field(repr=False)


class Board:
    """Takes the messages of SPEC 7.4 as they come. ``version`` grows with each one taken, ``name`` is the run's.

    What is not of the expected form is left out, never an error: a receiver is told by anybody who knows its address.
    """

    def __init__(self) -> None:
        self.version = 0
        self.name = ""
        self.points: deque[dict[str, Any]] = deque(maxlen=_MOST_POINTS)
        self.messages: deque[dict[str, str]] = deque(maxlen=_MOST_MESSAGES)
        self.status: dict[str, Any] = {}
        self.stages: dict[str, dict[str, Any]] = {}
        self.pictures: deque[Shown] = deque()

    def take(self, message: Mapping[str, Any]) -> None:
        """Take note of one message."""
        self.version += 1
        match message.get("type"):
            case "training.status":
                self._take_status(message)
            case "lifecycle.stage":
                self._take_stage(_mapping(message.get("stage")))
            case "validation.image" | "training.validation":
                self._take_pictures(message)
            case _:
                self._say(message)

    def picture(self, name: str) -> bytes | None:
        """The PNG of that name, if it is still kept."""
        return next((shown.content for shown in tuple(self.pictures) if shown.name == name), None)

    def _take_status(self, message: Mapping[str, Any]) -> None:
        data, progress = _mapping(message.get("data")), _mapping(message.get("progress"))
        metrics = _mapping(progress.get("metrics")) or _mapping(data.get("metrics"))
        step = _number(data.get("global_step"))
        told = _text(data.get("status"))
        # An evaluation is something that a run does, not how it stands.
        is_news = told != "evaluated" or "status" not in self.status
        self.status = {**self.status, **({"status": told} if is_news else {}), "step": step}
        if self._is_over:
            self.pictures = deque(old for old in self.pictures if not old.is_preview)
        for key in ("current", "total", "percent", "eta_seconds"):
            if key in progress:
                self.status[key] = _number(progress[key])
        if metrics and step is not None:
            self._add(step, {_text(key): _number(value) for key, value in metrics.items()})
        elif not progress.get("metrics"):
            self._say(message)

    def _add(self, step: float, numbers: dict[str, float | None]) -> None:
        if "loss" in numbers:
            numbers["train_loss"] = numbers.pop("loss")
        if self.points and step < self.points[-1]["step"]:
            # A run that went back to a checkpoint makes these steps anew.
            kept = [point for point in self.points if point["step"] < step]
            self.points.clear()
            self.points.extend(kept)
        if self.points and self.points[-1]["step"] == step:
            self.points[-1] = {**self.points[-1], **numbers, "step": step}
        else:
            self.points.append({**numbers, "step": step})

    def _take_stage(self, stage: Mapping[str, Any]) -> None:
        progress = _mapping(stage.get("progress"))
        key = _text(stage.get("key"))
        self.stages.pop(key, None)
        self.stages[key] = {
            "label": _text(progress.get("label") or stage.get("label")),
            "status": _text(stage.get("status")),
            "percent": _number(progress.get("percent")),
        }
        while len(self.stages) > _MOST_STAGES:
            del self.stages[next(iter(self.stages))]

    def _take_pictures(self, message: Mapping[str, Any]) -> None:
        data = _mapping(message.get("data"))
        is_preview = message.get("type") == "validation.image"
        label = _text(data.get("step_label")) if is_preview else f"step {_text(data.get('global_step'))}"
        nickname, size, panel = (_text(data.get(key)) for key in ("nickname", "resolution", "panel"))
        caption = " · ".join(part for part in (label, panel, nickname, _text(message.get("body"))) if part)
        images = message.get("images")
        for number, text in enumerate(images if isinstance(images, list) else ()):
            content = _png(text)
            if content is not None:
                name = f"received-{self.version}-{number}.png"
                place = int(_number(data.get("step")) or 0)
                self._keep(Shown(name, caption, f"{nickname} {size} {panel}", place, is_preview, content))

    def _keep(self, shown: Shown) -> None:
        if shown.is_preview and self._is_over:
            # A sender that ends sends what matters first, and previews last.
            return
        over = {old.name for old in self._over(shown)}
        self.pictures = deque(old for old in self.pictures if old.name not in over)
        self.pictures.append(shown)
        while len(self.pictures) > _MOST_PICTURES or sum(len(one.content) for one in self.pictures) > _MOST_BYTES:
            self.pictures.popleft()

    @property
    def _is_over(self) -> bool:
        return self.status.get("status") in _OVER

    def _over(self, shown: Shown) -> Iterator[Shown]:
        """The previews that are over when ``shown`` comes.

        All, with a finished picture; those of an earlier sampling of the same one, with a preview, and of the pictures
        drawn before it all but the last.
        """
        previews = [old for old in self.pictures if old.is_preview]
        last = {old.series: old for old in previews}
        for old in previews:
            is_former = old.place >= shown.place if old.series == shown.series else old is not last[old.series]
            if is_former or not shown.is_preview:
                yield old

    def _say(self, message: Mapping[str, Any]) -> None:
        self.name = _text(_mapping(message.get("data")).get("name")) or self.name
        checkpoint = _mapping(message.get("checkpoint"))
        text = _text(message.get("message") or message.get("title") or checkpoint.get("label"))
        if text:
            told = {"at": _text(message.get("timestamp")), "severity": _text(message.get("severity")), "text": text}
            self.messages.append(told)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return "" if value is None else str(value)[:_LONGEST]


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300 else None


def _png(text: Any) -> bytes | None:
    try:
        content = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except binascii.Error:
        return None
    return content if content.startswith(_PNG) else None
