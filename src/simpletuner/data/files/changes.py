"""What changed in a data set's files since they were last indexed, told by name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

_NAMED = 5


@dataclass(frozen=True)
class Changes:
    """Paths, each list sorted; ``renamed`` holds (old, new)."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.added or self.changed or self.removed or self.renamed)

    def lines(self) -> tuple[str, ...]:
        """One line for each kind of change, with the first few names."""
        renamed = tuple(f"{old} -> {new}" for old, new in self.renamed)
        kinds = (("added", self.added), ("changed", self.changed), ("renamed", renamed), ("removed", self.removed))
        return tuple(f"{len(names)} {kind}: {_named(names)}" for kind, names in kinds if names)


NO_CHANGES = Changes()


def _named(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def compare(known: Mapping[str, str], now: Mapping[str, str], identity: Callable[[str], str]) -> Changes:
    """Compare versions by path, ``known`` before and ``now``.

    A removed and an added file of the same ``identity`` (the part of a version that a rename leaves alone) are one
    renamed file, when no other file shares that identity.
    """
    added = [path for path in now if path not in known]
    removed = [path for path in known if path not in now]
    pairs = _renames({path: identity(known[path]) for path in removed}, {path: identity(now[path]) for path in added})
    old, new = {before for before, _ in pairs}, {after for _, after in pairs}
    return Changes(
        added=tuple(sorted(path for path in added if path not in new)),
        changed=tuple(sorted(path for path, version in now.items() if known.get(path, version) != version)),
        removed=tuple(sorted(path for path in removed if path not in old)),
        renamed=tuple(sorted(pairs)),
    )


def _renames(removed: Mapping[str, str], added: Mapping[str, str]) -> list[tuple[str, str]]:
    before, after = _by_identity(removed), _by_identity(added)
    return [
        (paths[0], after[key][0]) for key, paths in before.items() if len(paths) == 1 and len(after.get(key, ())) == 1
    ]


def _by_identity(paths: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for path, key in paths.items():
        if key:
            found[key].append(path)
    return found
