"""What the entries of a dataloader file are resolved with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from simpletuner.config.run import RunConfig


@dataclass(frozen=True)
class Surroundings:
    """What an entry's paths and placeholders are resolved with."""

    file: Path
    config: RunConfig
    cwd: Path
    environ: Mapping[str, str]

    def full(self, path: str) -> Path:
        """``path`` below the current folder."""
        return self.cwd / Path(path).expanduser()

    def place(self, path: str) -> str:
        """A URL as it is, any other path below the current folder."""
        return path if "://" in path else str(self.full(path))

    def cache_base(self) -> Path:
        """The folder of the caches that have none of their own."""
        return self.full(self.config.data.cache_dir or str(Path(self.config.report.output_dir) / "cache"))

    def cache_of(self, dataset: str) -> Path:
        """The default latent cache of ``dataset``."""
        if self.config.data.cache_dir_vae:
            return self.full(self.config.data.cache_dir_vae) / dataset
        return self.cache_base() / "vae" / self.config.model.model_family / dataset
