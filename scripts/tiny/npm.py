"""Fetching one pinned npm package and unpacking it without trusting its paths."""

from __future__ import annotations

import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .files import BUILD


@dataclass(frozen=True)
class NpmPackage:
    """A package of the npm registry at one version."""

    name: str
    version: str

    @property
    def spec(self) -> str:
        """What `npm pack` is asked for."""
        return f"{self.name}@{self.version}"

    @property
    def folder(self) -> Path:
        """Where the unpacked package is kept between runs."""
        return BUILD / "npm" / f"{self.name.replace('/', '-').lstrip('@')}-{self.version}"


FLUENT_3D = NpmPackage("@lobehub/fluent-emoji-3d", "1.1.0")
FLUENT_FLAT = NpmPackage("fluentui-emoji", "1.3.0")
EMOJI_KEYWORDS = NpmPackage("emojilib", "4.0.3")


def unpacked(package: NpmPackage) -> Path:
    """Return the package's root folder, fetching it only the first time."""
    if not package.folder.is_dir():
        package.folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=package.folder.parent) as scratch:
            unpack(fetch(package, Path(scratch)), Path(scratch) / "unpacked")
            (Path(scratch) / "unpacked").rename(package.folder)
    return package.folder / "package"


def fetch(package: NpmPackage, folder: Path) -> Path:
    """Download the package's tarball into `folder` and return its path."""
    subprocess.run(
        ["npm", "pack", package.spec, "--ignore-scripts", "--silent"],
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=600,
    )
    return next(folder.glob("*.tgz"))


def unpack(tarball: Path, folder: Path) -> None:
    """Unpack with the `data` filter, which refuses absolute paths, `..`, links that leave and devices."""
    with tarfile.open(tarball, "r:gz") as archive:
        archive.extractall(folder, filter="data")
