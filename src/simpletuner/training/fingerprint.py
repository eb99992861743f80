"""What two runs differ in, setting by setting, and which differences make them two."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simpletuner.core.errors import DataError

BATCH = frozenset(("train_batch_size", "gradient_accumulation_steps", "pictures_per_update"))
"""Settings, by the last part of their path, that make a batch."""
_SHOWN = 60
_ABSENT, _PRESENT = "not set", "set"


@dataclass(frozen=True)
class Identity:
    """The settings of a run by flat name; blocks may be nested.

    ``fixed`` are those without which a resumed run would not be the same run; ``settings`` may change and are told.
    ``may_change_batch`` lets a resume change the batch (SPEC 6.5). ``young`` names those that older
    checkpoints say nothing of; ``commits`` are kept for the next start, and not compared: those of the repositories of
    the hub that pictures are looked at with, by repository.
    """

    fixed: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    may_change_batch: bool = False
    young: frozenset[str] = frozenset()
    commits: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Difference:
    """One setting that is not what it was; both values are JSON."""

    path: str
    was: str
    now: str

    @property
    def is_of_batch(self) -> bool:
        """Whether it changes the batch."""
        return self.path.rpartition(".")[2] in BATCH

    def __str__(self) -> str:
        """One line, long values shortened."""
        return f"{self.path} was {_short(self.was)}, is {_short(self.now)}"


def differences(saved: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Every setting that differs, by its dotted path; one that only one of them has counts, and so does a block of
    settings, as one: a data set that was added.
    """
    was, is_now = dict(_flat(_against(saved, now), "")), dict(_flat(_against(now, saved), ""))
    return tuple(
        Difference(path, was.get(path, _ABSENT), is_now.get(path, _ABSENT))
        for path in sorted({*was, *is_now})
        if was.get(path, _ABSENT) != is_now.get(path, _ABSENT)
    )


def require_same_run(folder: Path, saved: Mapping[str, Any], identity: Identity) -> tuple[Difference, ...]:
    """Raise DataError with every difference of ``identity`` that makes another run of the checkpoint in ``folder``.

    ``saved`` are the fixed settings of the checkpoint. Returns what differs and may.
    """
    unsaid = identity.young - set(saved)
    found = differences(saved, {name: value for name, value in identity.fixed.items() if name not in unsaid})
    refused = [one for one in found if not (one.is_of_batch and identity.may_change_batch)]
    if not refused:
        return found
    lines = "".join(f"\n  {difference}" for difference in refused)
    cure = "put the former values back, start over with --fresh, or choose another output_dir"
    if all(difference.is_of_batch for difference in refused):
        cure += "; i_know_what_i_am_doing=true changes the batch and begins the epoch again"
    reason = f"this checkpoint belongs to a different run:{lines}"
    raise DataError(reason, file=folder, key="resume_from_checkpoint", cure=cure)


class _Block:
    """Stands for a block of settings that the other side has nothing of."""


def _against(value: Any, other: Any) -> Any:
    """``value`` with a :class:`_Block` for each block that ``other`` lacks."""
    if not isinstance(value, Mapping) or not isinstance(other, Mapping):
        return value
    return {key: _against(item, other[key]) if key in other else _folded(item) for key, item in value.items()}


def _folded(item: Any) -> Any:
    return _Block() if isinstance(item, Mapping) and item else item


def _flat(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every single value below ``value`` by its dotted path; lists of plain values are one."""
    if isinstance(value, _Block):
        yield path, _PRESENT
    elif isinstance(value, Mapping) and value:
        for key in value:
            yield from _flat(value[key], f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
        for index, item in enumerate(value):
            yield from _flat(item, f"{path}[{index}]")
    else:
        yield path, json.dumps(value, ensure_ascii=False, sort_keys=True)


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
