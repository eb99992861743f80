"""Lock files: the versions of constraints.txt with the SHA-256 of each file, for Linux on x86-64 with CPython.

``python -m scripts.lock`` asks pip what it would install, installs nothing, and writes those of :data:`LOCKS` that are
for this Python into locks/, and beside each the same as a bill of materials (CycloneDX 1.6). It needs click.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parents[1]
PROJECT = "simpletuner"
CPU_TORCH = "https://download.pytorch.org/whl/cpu/torch/"
_MACHINE = ("Linux", "x86_64", "CPython")
_KEYS = ("platform_system", "platform_machine", "platform_python_implementation", "python_version")


@dataclass(frozen=True)
class Lock:
    """One file: the extras it is for, the build of torch it holds, and the Python whose files have its hashes."""

    name: str
    extras: str
    torch: str
    python: str = "3.11"

    @property
    def environment(self) -> tuple[str, ...]:
        """What installs it, as pip's report tells it."""
        return (*_MACHINE, self.python)

    @property
    def is_for_cpu(self) -> bool:
        """Whether its torch runs without CUDA."""
        return self.name.startswith("cpu")

    @property
    def file(self) -> Path:
        """Where it lies."""
        return ROOT / "locks" / f"{self.name}.txt"

    @property
    def bill_file(self) -> Path:
        """Where its bill of materials lies."""
        return self.file.with_suffix(".cdx.json")


_ON_CARDS, _FROM_PYPI = "cuda,trackers,deepspeed", "PyPI's build of torch, which is for CUDA"
LOCKS = (
    Lock("cpu", "test", f"a CPU build of torch, which PyPI lacks: --find-links {CPU_TORCH}"),
    Lock("cuda", _ON_CARDS, _FROM_PYPI),
    Lock("cuda-py312", _ON_CARDS, _FROM_PYPI, python="3.12"),
    Lock("image", "cuda", f"{_FROM_PYPI}, and wheels alone: the Dockerfile installs it", python="3.12"),
)


def canonical(name: str) -> str:
    """The name as package indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(report: Mapping[str, Any], lock: Lock) -> dict[str, tuple[str, str]]:
    """Name to version and SHA-256 of everything that pip's report would install, but for this project.

    A build's local label (``+cpu``) is no part of the version, as in constraints.txt: the hash tells builds apart.
    Raises ValueError for what has no hash, and for another machine than ``lock`` is for.
    """
    told = tuple(report["environment"][key] for key in _KEYS)
    if told != lock.environment:
        raise ValueError(f"{lock.name} is for {' '.join(lock.environment)}; this is {' '.join(told)}")
    found = {}
    for item in report["install"]:
        name, version = canonical(item["metadata"]["name"]), item["metadata"]["version"]
        digest = item["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256")
        if name == PROJECT:
            continue
        if not digest:
            raise ValueError(f"pip knows no sha256 of {name} {version}")
        found[name] = (version.partition("+")[0], digest)
    return found


def text(lock: Lock, pinned: Mapping[str, tuple[str, str]]) -> str:
    """The file's content: comments, then a line and a hash for each package, sorted by name."""
    machine = " ".join(lock.environment)
    head = (
        f"# What `pip install -c constraints.txt '.[{lock.extras}]'` installs, with hashes: {machine}.",
        f"# It holds {lock.torch}.",
        f"#   pip install --require-hashes -r locks/{lock.name}.txt && pip install --no-deps .",
        "# Written by `python -m scripts.lock`.",
    )
    lines = (f"{name}=={version} \\\n    --hash=sha256:{digest}" for name, (version, digest) in sorted(pinned.items()))
    return "\n".join((*head, *lines)) + "\n"


def bill(lock: Lock, pinned: Mapping[str, tuple[str, str]]) -> str:
    """The bill of materials, https://cyclonedx.org/docs/1.6/json: name, version, address and hash of each package."""
    components = [
        {
            "type": "library",
            "name": name,
            "version": version,
            "purl": f"pkg:pypi/{name}@{version}",
            "hashes": [{"alg": "SHA-256", "content": digest}],
        }
        for name, (version, digest) in sorted(pinned.items())
    ]
    about = {"component": {"type": "application", "name": f"{PROJECT}[{lock.extras}]"}}
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "metadata": about}
    return json.dumps(head | {"components": components}, indent=1) + "\n"


def resolve(lock: Lock, cpu_torch: str) -> dict[str, Any]:
    """Pip's report of what it would install for ``lock`` from PyPI, and of torch from ``cpu_torch`` for a CPU."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-"]
    command += ["--find-links", cpu_torch] if lock.is_for_cpu else []
    command += ["-c", str(ROOT / "constraints.txt"), "torch", f"{ROOT}[{lock.extras}]"]
    # Whatever mirrors this machine has: the hashes shall be PyPI's.
    mine = {name: value for name, value in os.environ.items() if not name.startswith("PIP_") or name == "PIP_CERT"}
    environment = mine | {"PIP_CONFIG_FILE": os.devnull}
    answer = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    report: dict[str, Any] = json.loads(answer.stdout)
    return report


def is_build(report: Mapping[str, Any], lock: Lock) -> bool:
    """Whether the report's torch is the build that ``lock`` is for."""
    (torch,) = (item["metadata"]["version"] for item in report["install"] if item["metadata"]["name"] == "torch")
    return ("+cpu" in torch) == lock.is_for_cpu


@click.command()
@click.argument("names", nargs=-1, type=click.Choice([lock.name for lock in LOCKS]))
@click.option("--cpu-torch", default=CPU_TORCH, show_default=True, help="A folder or page with CPU builds of torch.")
def main(names: tuple[str, ...], cpu_torch: str) -> None:
    """Write the locks of these NAMES, or all that are for this Python."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    for lock in (lock for lock in LOCKS if lock.name in names or not names):
        if lock.python != here and not names:
            click.echo(f"{lock.file.relative_to(ROOT)}: left as it is, python{lock.python} -m scripts.lock writes it")
            continue
        report = resolve(lock, cpu_torch)
        if not is_build(report, lock):
            raise click.ClickException(f"{lock.name}: pip is not offered {lock.torch}")
        pinned = pins(report, lock)
        lock.file.write_text(text(lock, pinned), encoding="utf-8")
        lock.bill_file.write_text(bill(lock, pinned), encoding="utf-8")
        click.echo(f"{lock.file.relative_to(ROOT)}: {len(pinned)} packages")


if __name__ == "__main__":
    main()
