"""Events as lines of JSON, for a tracker in another process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from simpletuner.core.events import Evaluated, Event, ImagesRendered, Picture, RunEnded, RunStarted, StepDone

Sent = RunStarted | StepDone | Evaluated | ImagesRendered | RunEnded
"""What trackers are told."""
_KINDS: Mapping[str, type[Sent]] = {kind.__name__: kind for kind in (RunStarted, StepDone, Evaluated, RunEnded)}


def pack(event: Sent) -> bytes:
    """One line. Pictures are named by their full paths, because a process may work in another folder."""
    fields = asdict(event)
    for picture in fields.get("pictures", ()):
        picture["path"] = str(picture["path"].absolute())
    return json.dumps({"kind": type(event).__name__, "fields": fields}, default=str).encode() + b"\n"


def unpack(line: bytes) -> Event:
    """The event that :func:`pack` wrote."""
    said = json.loads(line)
    fields: dict[str, Any] = said["fields"]
    if said["kind"] == ImagesRendered.__name__:
        pictures = (picture | {"path": Path(picture["path"])} for picture in fields["pictures"])
        return ImagesRendered(fields["step"], fields["kind"], tuple(Picture(**picture) for picture in pictures))
    if "output_dir" in fields:
        fields |= {"output_dir": Path(fields["output_dir"]), "lines": tuple(fields["lines"])}
    return _KINDS[said["kind"]](**fields)
