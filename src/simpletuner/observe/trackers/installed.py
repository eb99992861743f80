"""Which trackers there are, and which of those asked for a run can have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from simpletuner.core.errors import ConfigError
from simpletuner.core.optional import optional
from simpletuner.observe.trackers.login import comet_problem, swanlab_problem, wandb_problem

KEY = "report_to"


@dataclass(frozen=True)
class _Kind:
    module: str
    extra: str
    problem: Callable[[Mapping[str, str], Path], str]


KINDS: Mapping[str, _Kind] = {
    "wandb": _Kind("wandb", "wandb", wandb_problem),
    "comet_ml": _Kind("comet_ml", "comet", comet_problem),
    "swanlab": _Kind("swanlab", "swanlab", swanlab_problem),
}


def require_trackers(names: Sequence[str], environ: Mapping[str, str], cwd: Path) -> None:
    """Look that every tracker that is asked for by name is installed and logged in. Raises ConfigError."""
    for name in names:
        if name in KINDS:
            _require(KINDS[name], environ, cwd)


def usable(names: Sequence[str], environ: Mapping[str, str], cwd: Path) -> tuple[str, ...]:
    """Those of ``names`` that need a process of their own; ``all`` takes whatever is installed and logged in."""
    every = [name for name, kind in KINDS.items() if _is_installed(kind.module) and not kind.problem(environ, cwd)]
    wanted = {*names, *(every if "all" in names else ())}
    return tuple(name for name in KINDS if name in wanted)


def _require(kind: _Kind, environ: Mapping[str, str], cwd: Path) -> None:
    if not _is_installed(kind.module):
        # Raises, in the words that every missing package is told in.
        optional(kind.module, extra=kind.extra, needed_for=KEY)
    problem = kind.problem(environ, cwd)
    if problem:
        raise ConfigError(f"'{kind.module}' is not logged in", key=KEY, cure=problem)


def _is_installed(module: str) -> bool:
    """Whether the package is there, without importing it.

    Its own folder of files in the working directory (``./wandb``) has no code and is not the package.
    """
    spec = find_spec(module)
    return spec is not None and spec.origin is not None
