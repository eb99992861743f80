"""Events as messages to Discord: SPEC 7.2. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from simpletuner.core.events import CheckpointSaved, Event, ImagesRendered, Notice, RunEnded, RunStarted
from simpletuner.observe.progress import duration
from simpletuner.observe.webhook.message import Drawing, Message

_MOST_LETTERS = 2000
_MOST_PICTURES = 10
# Discord calls people by "@name": a prompt must not call everyone.
_CALL = "@\u200b"


def discord_messages(event: Event, prefix: str) -> Iterator[Message]:
    """The messages of ``event``: start, warnings, checkpoints, pictures and the end; none for any other."""
    match event:
        case RunStarted():
            first = f"training starts: {event.name}, step {event.first_step} of {event.max_steps}"
            yield _said(prefix, "\n".join((first, *event.lines)))
        case Notice() if event.level not in ("info", "debug"):
            yield _said(prefix, f"{event.level}: {event.text}", event.level)
        case CheckpointSaved():
            what = "final result saved" if event.is_final else f"checkpoint saved: {event.path.name}"
            yield _said(prefix, f"step {event.step}: {what}")
        case ImagesRendered():
            yield from _pictures(event, prefix)
        case RunEnded():
            level = {"failed": "error", "interrupted": "warning"}.get(event.status, "info")
            told = f"{event.status} at step {event.step} after {duration(event.seconds)}"
            yield _said(prefix, f"{told}\n{event.message}".strip(), level)


def _pictures(event: ImagesRendered, prefix: str) -> Iterator[Message]:
    by_prompt = groupby(event.pictures, key=lambda picture: (picture.nickname, picture.prompt))
    for (nickname, prompt), shown in by_prompt:
        found = tuple(shown)
        paths = [picture.path for picture in found]
        score = "".join(f" (CLIP {picture.score:.4f})" for picture in found if picture.score is not None)
        for first in range(0, len(paths), _MOST_PICTURES):
            told = f"step {event.step}: {event.kind}: {nickname}{score}\n{prompt}"
            yield _said(prefix, told, drawings=paths[first : first + _MOST_PICTURES])


def _said(prefix: str, text: str, level: str = "info", drawings: Sequence[Drawing] = ()) -> Message:
    plain = prefix.replace("`", "'")
    content = f"(`{plain}`) {text}".replace("@", _CALL)
    short = content if len(content) <= _MOST_LETTERS else f"{content[: _MOST_LETTERS - 1]}…"
    return Message({"content": short}, level=level, drawings=tuple(drawings))
