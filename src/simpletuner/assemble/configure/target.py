"""Which configuration is written or edited, and the words that select it afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from simpletuner.assemble.configure.files import CONFIG
from simpletuner.core.errors import ConfigError


@dataclass(frozen=True)
class Target:
    """``file`` is the ``config.json``, a full path; ``words`` select it for ``check`` and ``train``."""

    file: Path
    words: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Where the other two files lie."""
        return self.file.parent

    def command(self, name: str) -> str:
        """The command line of ``simpletuner NAME`` for it."""
        return " ".join(("simpletuner", name, *self.words))


def find_target(given: Path | None, cwd: Path) -> Target:
    """The configuration at ``given``, a file or a folder; without it, the one that ``simpletuner train`` would read.

    Raises ConfigError for a file that is not JSON.
    """
    here, usual = cwd / CONFIG, cwd / "config" / CONFIG
    if given is None:
        return Target(here if here.is_file() else usual, ())
    file = (cwd / given.expanduser()).absolute()
    if file.suffix in (".toml", ".env") or (file.is_file() and file.suffix != ".json"):
        cure = "name a .json file, or a folder"
        raise ConfigError("configure writes JSON", file=file, cure=cure)
    file = file if file.suffix == ".json" else file / CONFIG
    return Target(file, _words(file, cwd, here, usual))


def _words(file: Path, cwd: Path, here: Path, usual: Path) -> tuple[str, ...]:
    if file == here or (file == usual and not here.is_file()):
        return ()
    folder = file.parent
    if file.name == CONFIG and folder.parent == cwd / "config" and not (cwd / folder.name / CONFIG).is_file():
        return (f"env={folder.name}",)
    return ("--config", str(file.relative_to(cwd) if file.is_relative_to(cwd) else file))
