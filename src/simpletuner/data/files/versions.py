"""Versions of local files: text that changes whenever the content may have changed."""

from __future__ import annotations

import os
import re

_VERSION = re.compile(r"(\d+)-(\d+)-(\d+)-(\d+)")
# A file touched this recently could change again within the same tick of its clock.
_SETTLED_SECONDS = 2.0


def file_version(fact: os.stat_result) -> str:
    """Size, times of content and of change, and inode.

    The change time moves even when a file is replaced and its old date put back.
    """
    return f"{fact.st_size}-{fact.st_mtime_ns}-{fact.st_ctime_ns}-{fact.st_ino}"


def unsettled(version: str) -> str:
    """How a version is stored that cannot be trusted the next time: it equals no version of a file."""
    return f"?{version}"


def bare(version: str) -> str:
    """The version without the mark of :func:`unsettled`."""
    return version.removeprefix("?")


def identity(version: str) -> str:
    """The part of a local file's version that a rename leaves alone; "" when it is no version of a local file."""
    found = _VERSION.fullmatch(version)
    return f"{found[1]}-{found[2]}-{found[4]}" if found else ""


def is_settled(version: str, now: float) -> bool:
    """Whether a local file was last changed long enough before ``now`` (seconds since the epoch) to be remembered."""
    found = _VERSION.fullmatch(version)
    return found is None or now - int(found[3]) / 1e9 > _SETTLED_SECONDS
