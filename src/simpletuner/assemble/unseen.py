"""A graphics card that is here and that torch does not use: which driver, which build of torch, and the cure."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from simpletuner.assemble.burden import AMD, is_small
from simpletuner.assemble.configure.cards import read_amd
from simpletuner.config.load import LoadedRun
from simpletuner.core.errors import ConfigError
from simpletuner.models.facts import FamilyFacts

_PATIENCE = 20
_SCREENS = Path("/sys/class/drm")
_INDEX = "https://download.pytorch.org/whl/"
_HIDDEN = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
_CONTAINER = "start the container with the cards (docker run --gpus all)"
_ALL_THE_SAME = "to train on the CPU all the same, set CUDA_VISIBLE_DEVICES to nothing"


@dataclass(frozen=True)
class Build:
    """Torch as it is installed: its version, and that of the CUDA or the ROCm it is built for; None for neither."""

    version: str
    cuda: str | None
    rocm: str | None

    def told(self) -> str:
        """For a person."""
        kind = f"CUDA {self.cuda}" if self.cuda else f"ROCm {self.rocm}" if self.rocm else "CPUs alone"
        return f"torch {self.version} is built for {kind}"

    def from_index(self, folder: str) -> str:
        """The command that puts the same version's build of ``folder`` in its place."""
        plain = self.version.partition("+")[0]
        return f"{sys.executable} -m pip install --upgrade torch=={plain} --index-url {_INDEX}{folder}"


@dataclass(frozen=True)
class Driver:
    """NVIDIA's: its version and the newest CUDA it knows, as ``nvidia-smi`` tells them; ``words`` where it does not."""

    version: str | None = None
    cuda: str | None = None
    words: str = ""


def installed_build() -> Build:
    """The torch that runs this."""
    return Build(torch.__version__, torch.version.cuda, torch.version.hip)


def read_driver(told: str) -> Driver:
    """What the head of the table of ``nvidia-smi`` says."""
    version = re.search(r"Driver Version:\s*([\d.]+)", told)
    cuda = re.search(r"CUDA (?:UMD )?Version:\s*([\d.]+)", told)
    if version is None:
        return Driver(words=next((line.strip() for line in told.splitlines() if line.strip()), "nothing"))
    return Driver(version[1], cuda[1] if cuda else None)


def ask_driver() -> Driver | None:
    """NVIDIA's driver; None where there is no ``nvidia-smi``. Takes up to seconds."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    try:
        done = subprocess.run([program], capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Driver(words=str(error))
    return read_driver(done.stdout or done.stderr)


def unseen_card(environ: Mapping[str, str], build: Build) -> tuple[str, str] | None:
    """Why torch, which has no device, does not use the card that is here, and the cure; None without a card.

    A card that the user hides with ``CUDA_VISIBLE_DEVICES`` is none, and neither is a processor's own graphics.
    """
    if any(environ.get(name) in ("", "-1") for name in _HIDDEN):
        return None
    driver = ask_driver()
    if driver is not None:
        return _nvidia(driver, build)
    return _amd(build) if AMD.exists() and read_amd(_SCREENS).cards else None


def _nvidia(driver: Driver, build: Build) -> tuple[str, str]:
    if driver.version is None:
        return f"nvidia-smi is here, and tells of no card: {driver.words}", f"repair the driver, or {_CONTAINER}"
    knows = f" knows CUDA up to {driver.cuda}" if driver.cuda else ""
    reason = (
        f"an NVIDIA card is here, and torch does not see it: its driver {driver.version}{knows}, and {build.told()}"
    )
    if build.cuda and not _is_older(driver.cuda, build.cuda):
        return reason, f"nvidia-smi must list a card; in a container, {_CONTAINER}"
    if _is_older(driver.cuda, "12"):
        return reason, "a newer driver: there is no build of this torch for CUDA 11"
    return reason, build.from_index("cu126" if _is_older(driver.cuda, "13") else "cu130")


def _is_older(known: str | None, built: str) -> bool:
    """Whether a driver for the CUDA ``known`` cannot run what is built for ``built``: only the first number counts."""
    return known is not None and int(known.partition(".")[0]) < int(built.partition(".")[0])


def _amd(build: Build) -> tuple[str, str]:
    reason = f"an AMD card is here ({AMD}), and torch does not see it: {build.told()}"
    if build.rocm:
        return reason, f"this user must be allowed to open {AMD}: as a rule the groups render and video"
    return reason, f"install torch from a rocm folder of {_INDEX}, as pytorch.org names it"


def require_seen(loaded: LoadedRun, facts: FamilyFacts) -> str | None:
    """A warning, for torch without a device on a machine with a card; None without a card.

    Raises ConfigError where the model is large: on a CPU a step of it takes minutes.
    """
    found = unseen_card(loaded.environ, installed_build())
    if found is not None and not is_small(loaded, facts):
        raise ConfigError(found[0], cure=f"{found[1]}\n  {_ALL_THE_SAME}")
    return None if found is None else _warning(found, "trains")


def drawing_warning(environ: Mapping[str, str]) -> str | None:
    """The same for pictures, which a CPU draws of every model; None without a card."""
    found = unseen_card(environ, installed_build())
    return None if found is None else _warning(found, "draws")


def _warning(found: tuple[str, str], does: str) -> str:
    return f"{found[0]}; the CPU {does}. Cure: {found[1]}"
