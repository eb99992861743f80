"""One WebDataset shard: its pictures by name, and the captions that lie beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from simpletuner.data.captions.candidates import LONGEST_TEXT, lines_of
from simpletuner.data.sources.cells import captions_of
from simpletuner.data.sources.kinds import (
    LISTED_SUFFIXES,
    PICTURE_SUFFIXES,
    TEXT_SUFFIX,
    Sorter,
    is_below_hidden,
    suffix,
)
from simpletuner.data.sources.tar import Member, members

_FACTS_SUFFIX = ".json"


@dataclass
class Shard:
    """What one shard holds: picture and text members by name, and captions by key."""

    version: str
    members: dict[str, Member] = field(default_factory=dict)
    captions: dict[str, tuple[str, ...]] = field(default_factory=dict)
    found: Sorter = field(default_factory=Sorter)


def walk_shard(shard: Shard, name: str, stream: IO[bytes], size: int) -> None:
    """Note every member. Raises BrokenTar or OSError where the shard cannot be read on."""
    for member in members(stream, size):
        kind = suffix(member.name)
        if is_below_hidden(member.name.replace("..", "")):
            continue
        if member.fault:
            _refuse(shard, name, member, member.fault)
        elif member.name in shard.members:
            _refuse(shard, name, member, "the shard holds this name twice; the first one is used")
        elif kind in (TEXT_SUFFIX, _FACTS_SUFFIX):
            _caption(shard, member, kind, stream)
        elif kind in LISTED_SUFFIXES:
            shard.members[member.name] = member
        else:
            shard.found.pass_over(member.name)


def _refuse(shard: Shard, name: str, member: Member, reason: str) -> None:
    if suffix(member.name) in PICTURE_SUFFIXES:
        shard.found.drop(f"{name}/{member.name}", reason, "pack the shard anew")


def _caption(shard: Shard, member: Member, kind: str, stream: IO[bytes]) -> None:
    """Keep what a text or JSON member says; text is preferred. One that cannot be read says nothing."""
    if member.size > LONGEST_TEXT:
        return
    stream.seek(member.offset)
    content = stream.read(member.size)
    if kind == TEXT_SUFFIX:
        shard.members[member.name] = member
    found = captions_of(_lines(content) if kind == TEXT_SUFFIX else _json(content).get("caption"))
    if found and (kind == TEXT_SUFFIX or key_of(member.name) not in shard.captions):
        shard.captions[key_of(member.name)] = found


def _lines(content: bytes) -> list[str]:
    try:
        return lines_of(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return []


def _json(content: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def key_of(name: str) -> str:
    """What the files of one sample share: the path up to the first dot of the base name."""
    folder, slash, base = name.rpartition("/")
    return folder + slash + base.partition(".")[0]
